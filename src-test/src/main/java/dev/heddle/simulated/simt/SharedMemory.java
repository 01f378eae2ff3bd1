package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import dev.heddle.simulated.ptx.PtxInstruction;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A block's shared memory, and who touched it when.
 *
 * <p>Beside the bytes there is, for every granule (as many bytes as the kernel's smallest access,
 * so that an access is always of whole granules), the last write and the reads since the last
 * barrier. Two accesses of one granule by different threads, one of them a write, race unless a
 * barrier or a meeting of their warp lies between them, or both are atomic.
 *
 * <p>An access is packed into a {@code long}: the phase (barriers so far, over all blocks of a
 * launch) in the upper 28 bits, then 24 bits of the warp's {@link WarpOrder} time, a flag, and 11
 * bits of who: the thread that wrote, the flag saying that it was atomic; the warp that read, with
 * its lanes in a second array, the flag saying that other warps did, too.
 */
final class SharedMemory {
  static final VarHandle SHORT =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
  static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private static final int PHASE_SHIFT = 36;
  private static final int TIME_SHIFT = 12;
  private static final int TIME_MASK = (1 << 24) - 1;
  private static final int FLAG = 1 << 11;
  private static final int THREAD_MASK = (1 << 11) - 1;
  private static final int MANY = THREAD_MASK;
  private static final long LAST_PHASE = (1L << 27) - 2;

  private final byte[] bytes;
  private final int shift;
  private final boolean races;
  private final long[] writes;
  private final long[] reads;
  private final int[] readLanes;
  private final int[] writeSteps;
  private final int[] readSteps;
  private final int[] copying;
  private long phase = 1;
  private long firstPhase = 1;

  /**
   * Shared memory.
   *
   * @param granuleBytes a power of two that divides every access
   * @param races whether races are faults
   * @param asyncCopies whether the kernel has {@code cp.async}
   */
  SharedMemory(int byteSize, int granuleBytes, boolean races, boolean asyncCopies) {
    this.bytes = new byte[byteSize];
    this.shift = Integer.numberOfTrailingZeros(granuleBytes);
    this.races = races;
    int granules = (byteSize >> shift) + 1;
    this.writes = new long[granules];
    this.reads = new long[granules];
    this.readLanes = new int[granules];
    this.writeSteps = new int[granules];
    this.readSteps = new int[granules];
    this.copying = new int[asyncCopies ? granules : 0];
  }

  int byteSize() {
    return bytes.length;
  }

  /** A block begins: nothing has been written. */
  void begin() {
    if (phase > LAST_PHASE / 2) {
      Arrays.fill(writes, 0);
      Arrays.fill(reads, 0);
      phase = 0;
    }
    nextPhase();
    firstPhase = phase;
    Arrays.fill(copying, 0);
  }

  /** All threads have met at a barrier. */
  void nextPhase() {
    phase++;
    if (phase > LAST_PHASE) {
      throw new IllegalStateException("more barriers in a block than the simulator can count");
    }
  }

  /** Reads {@code size} bytes; signs are the caller's. */
  long read(Warp warp, int lane, long address, int size) {
    int offset = checked(warp, lane, address, size);
    noteRead(warp, lane, offset, size);
    return get(offset, size);
  }

  void write(Warp warp, int lane, long address, int size, long bits) {
    int offset = checked(warp, lane, address, size);
    noteWrite(warp, lane, offset, size, false);
    put(offset, size, bits);
  }

  /** Where an access of {@code size} bytes is, having been checked. */
  int checked(Warp warp, int lane, long address, int size) {
    if (address < 0 || address > bytes.length - size) {
      throw warp.fault(
          Kind.ILLEGAL_ADDRESS,
          1 << lane,
          "%d bytes at 0x%x of shared memory, of which the block has %d"
              .formatted(size, address, bytes.length));
    }
    if ((address & (size - 1)) != 0) {
      throw Faults.misaligned(warp, lane, address, size, "shared memory");
    }
    return (int) address;
  }

  long get(int offset, int size) {
    return switch (size) {
      case 1 -> bytes[offset] & 0xFFL;
      case 2 -> (short) SHORT.get(bytes, offset) & 0xFFFFL;
      case 4 -> (int) INT.get(bytes, offset) & 0xFFFF_FFFFL;
      default -> (long) LONG.get(bytes, offset);
    };
  }

  void put(int offset, int size, long bits) {
    switch (size) {
      case 1 -> bytes[offset] = (byte) bits;
      case 2 -> SHORT.set(bytes, offset, (short) bits);
      case 4 -> INT.set(bytes, offset, (int) bits);
      default -> LONG.set(bytes, offset, bits);
    }
  }

  byte[] bytes() {
    return bytes;
  }

  private long stamp(Warp warp, int lane) {
    return phase << PHASE_SHIFT
        | (long) (warp.order.now() & TIME_MASK) << TIME_SHIFT
        | (warp.firstThread + lane);
  }

  /** A thread reads whole granules. */
  void noteRead(Warp warp, int lane, int offset, int size) {
    long firstOfBlock = firstPhase << PHASE_SHIFT;
    long firstOfPhase = phase << PHASE_SHIFT;
    long mine = firstOfPhase | (long) (warp.order.now() & TIME_MASK) << TIME_SHIFT | warp.number;
    int thread = warp.firstThread + lane;
    int to = (offset + size + (1 << shift) - 1) >> shift;
    for (int g = offset >> shift; g < to; g++) {
      long write = writes[g];
      if (write < firstOfBlock) {
        throw warp.fault(
            Kind.UNINITIALISED_READ,
            1 << lane,
            "reads shared memory at 0x%x, where this block has written nothing"
                .formatted(g << shift));
      }
      if (copying.length > 0 && copying[g] != 0) {
        throw notAwaited(warp, lane, g, "reads");
      }
      if (!races) {
        continue;
      }
      if (write >= firstOfPhase && (write & THREAD_MASK) != thread) {
        checkOrder(warp, lane, g, write, writeSteps[g], "reads", "was written");
      }
      if (reads[g] == mine) {
        readLanes[g] |= 1 << lane;
      } else {
        noteReader(warp, lane, g, mine);
      }
    }
  }

  /** Notes a read that is not of the same warp and time as the last one. */
  private void noteReader(Warp warp, int lane, int g, long mine) {
    long read = reads[g];
    readSteps[g] = warp.stepIndex();
    if (read >>> PHASE_SHIFT != phase) {
      reads[g] = mine;
      readLanes[g] = 1 << lane;
    } else if ((read & FLAG) == 0) {
      if ((read & THREAD_MASK) == warp.number) {
        if (warp.order.allMetSince((int) (read >>> TIME_SHIFT) & TIME_MASK)) {
          readLanes[g] = 0;
        }
        // The latest time stands for all lanes noted.
        readLanes[g] |= 1 << lane;
        reads[g] = mine;
      } else {
        reads[g] = read | FLAG;
      }
    }
  }

  /** A thread writes whole granules. */
  void noteWrite(Warp warp, int lane, int offset, int size, boolean atomic) {
    long mine = stamp(warp, lane);
    int thread = warp.firstThread + lane;
    for (int g = offset >> shift; g < (offset + size + (1 << shift) - 1) >> shift; g++) {
      if (copying.length > 0 && copying[g] != 0) {
        throw notAwaited(warp, lane, g, "writes");
      }
      long write = writes[g];
      if (atomic && write >>> PHASE_SHIFT < firstPhase) {
        throw warp.fault(
            Kind.UNINITIALISED_READ,
            1 << lane,
            "reads and writes shared memory at 0x%x, where this block has written nothing"
                .formatted(g << shift));
      }
      long now = atomic ? mine | FLAG : mine;
      if (races && write >>> PHASE_SHIFT == phase && (write & THREAD_MASK) != thread) {
        boolean bothAtomic = atomic && (write & FLAG) != 0;
        if (bothAtomic) {
          now |= MANY;
        } else {
          checkOrder(warp, lane, g, write, writeSteps[g], "writes", "was written");
        }
      }
      if (races && reads[g] >>> PHASE_SHIFT == phase) {
        checkReaders(warp, lane, g, reads[g]);
      }
      writes[g] = now;
      writeSteps[g] = warp.stepIndex();
    }
  }

  private void checkReaders(Warp warp, int lane, int g, long read) {
    if ((read & FLAG) != 0) {
      checkOrder(warp, lane, g, read | MANY, readSteps[g], "writes", "was read");
      return;
    }
    int reader = (int) (read & THREAD_MASK);
    int others = reader == warp.number ? readLanes[g] & ~(1 << lane) : readLanes[g];
    for (int rest = others; rest != 0; rest &= rest - 1) {
      long thread = (long) reader * Step.LANES + Integer.numberOfTrailingZeros(rest);
      long one = (read & ~(long) THREAD_MASK) | thread;
      checkOrder(warp, lane, g, one, readSteps[g], "writes", "was read");
    }
  }

  private void checkOrder(
      Warp warp, int lane, int g, long earlier, int step, String does, String was) {
    int other = (int) (earlier & THREAD_MASK);
    int time = (int) (earlier >>> TIME_SHIFT) & TIME_MASK;
    if (other != MANY
        && other >> 5 == warp.number
        && warp.order.areOrdered(other & 31, time, lane)) {
      return;
    }
    PtxInstruction source = warp.step(step).source;
    throw warp.fault(
        Kind.RACE,
        1 << lane,
        "%s shared memory at 0x%x, which %s by %s with nothing between that orders the two%n    there: line %d: %s"
            .formatted(
                does,
                g << shift,
                was,
                other == MANY ? "several threads" : "thread " + warp.block.coordinates(other),
                source.line(),
                source.text()));
  }

  private RuntimeException notAwaited(Warp warp, int lane, int g, String does) {
    return warp.fault(
        Kind.ASYNC_COPY_NOT_AWAITED,
        1 << lane,
        "%s shared memory at 0x%x, which cp.async of thread %s may still be writing; wait_group or wait_all comes first"
            .formatted(does, g << shift, warp.block.coordinates(copying[g] - 1)));
  }

  /** {@code cp.async} of a thread begins to write whole granules. */
  void beginCopy(Warp warp, int lane, int offset, int size) {
    noteWrite(warp, lane, offset, size, false);
    for (int g = offset >> shift; g < (offset + size) >> shift; g++) {
      copying[g] = warp.firstThread + lane + 1;
    }
  }

  /** What was copied is there, as if the thread had written it now. */
  void endCopy(Warp warp, int lane, int offset, int size) {
    for (int g = offset >> shift; g < (offset + size) >> shift; g++) {
      copying[g] = 0;
      writes[g] = stamp(warp, lane);
    }
  }
}
