package dev.heddle.runtime.memory;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Hands out blocks of one device's memory and takes them back for the next user. Sizes are rounded
 * up to classes of at most 12.5 % waste (eight a power of two), so that a training loop that asks
 * for the same sizes again allocates nothing new. Memory is returned to the system by {@link
 * #close()}, and by {@link #trim()} where the system is short of it.
 *
 * <p>Where no block of a class waits, {@linkplain Source#lends some sources} have the smallest
 * larger one of up to twice the size lent before the system is asked: sizes change from one part of
 * a model to the next, and what waited for its own size only was a sixth of a step's memory.
 *
 * <p>Thread-safe.
 */
public final class MemoryPool implements AutoCloseable {
  /** Alignment of every block in bytes: a cache line, and the widest vector. */
  public static final int ALIGNMENT = 64;

  private static final int CLASSES = 512;

  /** Blocks that are so small, and those for them, are not worth lending to other sizes. */
  private static final int LENT_FROM = sizeClass(64 << 10);

  /** Classes to the double of a size. */
  private static final int DOUBLE = 8;

  /** Where a pool's memory comes from and goes to. */
  public interface Source extends AutoCloseable {
    /** New memory of {@code byteSize} bytes, aligned to {@link #ALIGNMENT}. */
    MemorySegment allocate(long byteSize);

    /**
     * Returns one piece of memory to the system; for sources whose memory is scarce.
     *
     * @throws UnsupportedOperationException if this source returns all its memory at once, by
     *     {@link #close()}
     */
    default void release(MemorySegment memory) {
      throw new UnsupportedOperationException("this source returns its memory when it is closed");
    }

    /**
     * Whether waiting blocks are lent for smaller sizes. It saves memory, but a loop may then take
     * from the system in its second round still: what it lends there may differ. So it is for
     * sources from which that is cheap.
     */
    default boolean lends() {
      return false;
    }

    /** Returns all memory to the system. */
    @Override
    void close();
  }

  private final String name;
  private final Source source;
  private final List<ArrayDeque<Block>> free = new ArrayList<>(CLASSES);
  private final List<Block> all = new ArrayList<>();
  private long reservedBytes;
  private long liveBytes;
  private long peakLiveBytes;
  private long systemAllocations;
  private boolean closed;
  private @Nullable Reservation reservation;

  /** A pool named {@code name} in messages, fed by {@code source}, which it closes. */
  public MemoryPool(String name, Source source) {
    this.name = name;
    this.source = source;
    for (int i = 0; i < CLASSES; i++) {
      free.add(new ArrayDeque<>(0));
    }
  }

  /**
   * A block of at least {@code byteSize} bytes with unspecified contents, owned by the current
   * {@link MemoryScope} of this thread.
   *
   * @throws IllegalStateException if no scope is open or the pool is closed
   */
  public Block allocate(long byteSize) {
    MemoryScope scope = MemoryScope.current();
    Block block = take(byteSize);
    scope.own(block);
    return block;
  }

  /**
   * A block of at least {@code byteSize} bytes that no scope owns: scratch memory of a kernel. The
   * caller ends its use with {@link Block#release()}.
   */
  public Block borrow(long byteSize) {
    return take(byteSize);
  }

  private Block take(long byteSize) {
    int sizeClass = sizeClass(byteSize);
    Block block;
    synchronized (this) {
      if (closed) {
        throw new IllegalStateException("memory pool " + name + ": allocation after close");
      }
      Reservation open = reservation;
      block = open == null ? null : open.poll(sizeClass);
      if (block == null) {
        block = pollFitting(sizeClass);
      }
      if (block == null) {
        long capacity = classBytes(sizeClass);
        block = new Block(this, sizeClass, source.allocate(capacity), capacity);
        all.add(block);
        reservedBytes += capacity;
        systemAllocations++;
      }
      if (open != null) {
        open.add(block);
      }
      block.usedClass = sizeClass;
      liveBytes += classBytes(sizeClass);
      peakLiveBytes = Math.max(peakLiveBytes, liveBytes);
    }
    block.start();
    block.birth = LeakDetector.trace();
    return block;
  }

  /** A waiting block of a class, or else, where they are lent, of the next larger one with any. */
  private @Nullable Block pollFitting(int sizeClass) {
    boolean lent = sizeClass >= LENT_FROM && source.lends();
    int last = lent ? Math.min(sizeClass + DOUBLE, CLASSES - 1) : sizeClass;
    for (int larger = sizeClass; larger <= last; larger++) {
      Block block = free.get(larger).pollLast();
      if (block != null) {
        return block;
      }
    }
    return null;
  }

  synchronized void giveBack(Block block) {
    block.birth = null;
    liveBytes -= classBytes(block.usedClass);
    Reservation open = reservation;
    if (open == null || !open.giveBack(block)) {
      free.get(block.sizeClass).addLast(block);
    }
  }

  /**
   * Starts to set aside every block that is taken from here on, until {@link Reservation#end()}:
   * the blocks are handed out again within the reservation, and afterwards to nobody before {@link
   * Reservation#close()}. For work that is recorded now and runs later, at the same addresses.
   *
   * @throws IllegalStateException if a reservation has not ended yet
   */
  public synchronized Reservation reserve() {
    if (reservation != null) {
      throw new IllegalStateException("memory pool " + name + ": a reservation is open already");
    }
    Reservation opened = new Reservation();
    reservation = opened;
    return opened;
  }

  /** Blocks set aside by {@link #reserve()}. Belongs to the thread that made it. */
  public final class Reservation implements AutoCloseable {
    private final Set<Block> blocks = new LinkedHashSet<>();
    private final Map<Integer, ArrayDeque<Block>> waiting = new HashMap<>();
    private boolean closed;

    private Reservation() {}

    private @Nullable Block poll(int sizeClass) {
      ArrayDeque<Block> sameSize = waiting.get(sizeClass);
      return sameSize == null ? null : sameSize.pollLast();
    }

    private void add(Block block) {
      blocks.add(block);
    }

    private boolean giveBack(Block block) {
      boolean mine = blocks.contains(block);
      if (mine) {
        waiting.computeIfAbsent(block.sizeClass, key -> new ArrayDeque<>()).addLast(block);
      }
      return mine;
    }

    /** Sets no more aside and keeps what there is. */
    public void end() {
      synchronized (MemoryPool.this) {
        if (reservation != this) {
          return;
        }
        reservation = null;
        for (ArrayDeque<Block> sameSize : waiting.values()) {
          for (Block block : sameSize) {
            block.start();
            block.usedClass = block.sizeClass;
            liveBytes += block.byteSize();
            block.birth = LeakDetector.trace();
          }
        }
        peakLiveBytes = Math.max(peakLiveBytes, liveBytes);
        for (Block block : blocks) {
          if (!isWaiting(block)) {
            block.retain();
          }
        }
      }
    }

    /**
     * Starts to set aside again, the blocks that it has and nobody uses being the first to be
     * handed out. For work that is recorded anew; {@link #end()} ends it again.
     *
     * @throws IllegalStateException if it is closed, or another reservation has not ended yet
     */
    public void resume() {
      synchronized (MemoryPool.this) {
        if (closed || reservation != null) {
          throw new IllegalStateException(
              "memory pool "
                  + name
                  + (closed ? ": the reservation is closed" : ": a reservation is open already"));
        }
        reservation = this;
        waiting.clear();
        blocks.forEach(Block::release);
      }
    }

    private boolean isWaiting(Block block) {
      ArrayDeque<Block> sameSize = waiting.get(block.sizeClass);
      return sameSize != null && sameSize.contains(block);
    }

    /** Bytes set aside. */
    public long byteSize() {
      return blocks.stream().mapToLong(Block::byteSize).sum();
    }

    /** Gives the blocks back to the pool; those that are still in use follow when they are not. */
    @Override
    public void close() {
      if (!closed) {
        closed = true;
        end();
        blocks.forEach(Block::release);
      }
    }
  }

  /** Bytes in use now, as asked for and rounded up to a class. */
  public synchronized long liveBytes() {
    return liveBytes;
  }

  /** The most bytes that were ever in use at once, since the start or {@link #resetPeak()}. */
  public synchronized long peakLiveBytes() {
    return peakLiveBytes;
  }

  /** Starts a new measurement of {@link #peakLiveBytes()}. */
  public synchronized void resetPeak() {
    peakLiveBytes = liveBytes;
  }

  /** Bytes taken from the system, in use or waiting for reuse. */
  public synchronized long reservedBytes() {
    return reservedBytes;
  }

  /** How often memory was taken from the system: constant once a loop is steady. */
  public synchronized long systemAllocations() {
    return systemAllocations;
  }

  /**
   * Returns the memory that waits for reuse to the system. For sources that can {@linkplain
   * Source#release release} single pieces, which call it when the system has nothing left: blocks
   * of other sizes may be in the way.
   *
   * @return how many bytes that were
   */
  public synchronized long trim() {
    Set<Block> unused = new HashSet<>();
    long bytes = 0;
    for (ArrayDeque<Block> sameSize : free) {
      for (Block block : sameSize) {
        source.release(block.segment());
        unused.add(block);
        bytes += block.byteSize();
      }
      sameSize.clear();
    }
    all.removeAll(unused);
    reservedBytes -= bytes;
    return bytes;
  }

  /** A line for each block that is in use: its size and, where it was traced, who allocated it. */
  public synchronized List<String> leaks() {
    List<String> lines = new ArrayList<>();
    for (Block block : all) {
      if (block.references() > 0) {
        StringBuilder line = new StringBuilder();
        line.append("LEAK in ").append(name).append(": ").append(block.byteSize());
        line.append(" bytes, ").append(block.references()).append(" reference(s)");
        if (block.birth == null) {
          line.append("; run with -D").append(LeakDetector.PROPERTY);
          line.append("=paranoid to see who allocated it");
        } else {
          for (StackTraceElement frame : block.birth.getStackTrace()) {
            line.append(System.lineSeparator()).append("    at ").append(frame);
          }
        }
        lines.add(line.toString());
      }
    }
    return lines;
  }

  /**
   * Returns all memory to the system.
   *
   * @throws IllegalStateException if blocks are still in use, with their places of birth; the
   *     memory is returned all the same
   */
  @Override
  public void close() {
    List<String> leaks;
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
      leaks = leaks();
      source.close();
    }
    if (!leaks.isEmpty()) {
      throw new IllegalStateException(
          leaks.size()
              + " block(s) still in use when "
              + name
              + " was closed: close the"
              + " MemoryScope that owns them first"
              + System.lineSeparator()
              + String.join(System.lineSeparator(), leaks));
    }
  }

  /** Classes 0..7 are multiples of 64 bytes up to 512; then eight classes a doubling. */
  static int sizeClass(long byteSize) {
    if (byteSize < 0) {
      throw new IllegalArgumentException("memory pool: negative size " + byteSize);
    }
    if (byteSize <= 8L * ALIGNMENT) {
      return byteSize == 0 ? 0 : (int) ((byteSize - 1) / ALIGNMENT);
    }
    int log = 63 - Long.numberOfLeadingZeros(byteSize - 1);
    int eighth = (int) ((byteSize - 1) >>> (log - 3)) & 7;
    return 8 + (log - 9) * 8 + eighth;
  }

  static long classBytes(int sizeClass) {
    if (sizeClass < 8) {
      return (sizeClass + 1L) * ALIGNMENT;
    }
    int log = 9 + (sizeClass - 8) / 8;
    int eighth = (sizeClass - 8) % 8;
    return (1L << log) + ((eighth + 1L) << (log - 3));
  }
}
