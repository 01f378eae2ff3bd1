package dev.heddle.parallel.comm.mpi;

import dev.heddle.bindings.mpi.Mpi;
import dev.heddle.parallel.comm.mpi.StagingPool.Buffer;
import dev.heddle.parallel.comm.support.RunCursor;
import dev.heddle.runtime.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Parcels between the ranks of one run: a {@link Header}, then elements. Headers come by one tag
 * from any rank and are handed to the call they belong to by the receiver, not by MPI, so groups
 * need no communicators of their own, a call may be posted before or after its parcels come, and
 * calls that do not fit are noticed before a byte is written.
 *
 * <p>Elements that lie together in memory are sent from there and received to there; others are
 * packed. Everything is non-blocking: {@link #progress} moves what can be moved.
 */
final class Transport {
  private static final int HEADER_TAG = 1;
  private static final int FIRST_DATA_TAG = 2;
  // Every MPI has at least so many tags; so many messages are never under way to one rank.
  private static final int DATA_TAGS = 16_384;
  private static final int OPEN_HEADERS = 16;
  private static final int SLOTS = 256;

  private final MpiLibrary mpi;
  private final MemorySegment communicator;
  private final int rank;
  private final long chunkBytes;
  private final Consumer<Arrival> router;

  private final Arena arena = Arena.ofConfined();
  private final StagingPool staging = new StagingPool();
  private final ArrayDeque<MemorySegment> slots = new ArrayDeque<>();
  private final ArrayDeque<MemorySegment> headerRequests = new ArrayDeque<>();
  private final ArrayDeque<Buffer> headerBuffers = new ArrayDeque<>();
  private final List<Transfer> transfers = new ArrayList<>();
  private final int[] nextTag;
  private final long[] headersSent;
  private final long[] headersReceived;
  private final RunCursor from = new RunCursor();
  private final RunCursor to = new RunCursor();

  /**
   * Opens the transport of a run.
   *
   * @param communicator used by nobody else
   * @param chunkBytes the most bytes of one message, at most 2^30
   * @param router is handed every parcel that comes, and must take it
   */
  Transport(MpiLibrary mpi, MemorySegment communicator, long chunkBytes, Consumer<Arrival> router) {
    this.mpi = mpi;
    this.communicator = communicator;
    this.rank = mpi.rank(communicator);
    this.chunkBytes = chunkBytes;
    this.router = router;
    int size = mpi.size(communicator);
    nextTag = new int[size];
    headersSent = new long[size];
    headersReceived = new long[size];
    for (int i = 0; i < OPEN_HEADERS; i++) {
      expectHeader();
    }
  }

  StagingPool staging() {
    return staging;
  }

  /** How many parcels went to each rank. */
  long[] headersSent() {
    return headersSent.clone();
  }

  /** How many parcels came from a rank. */
  long headersReceived(int globalRank) {
    return headersReceived[globalRank];
  }

  /** Whether messages other than headers are under way. */
  boolean isBusy() {
    return !transfers.isEmpty();
  }

  // ---- sending

  /**
   * Sends a parcel.
   *
   * @param piece the elements; null for none
   * @param sent is told when elements that are sent from where they are may be overwritten
   * @return whether {@code sent} will be called; else the elements may be overwritten already
   */
  boolean send(
      int toRank,
      long group,
      int stage,
      long number,
      long signature,
      @Nullable Piece piece,
      Transfer.@Nullable Completion sent) {
    long bytes = piece == null ? 0 : piece.bytes();
    long elements = piece == null ? -1 : piece.count();
    DType dtype = piece == null ? null : piece.dtype();
    boolean inline = toRank == rank || Header.fitsInline(bytes);
    int tag = inline ? Header.INLINE : tagOfNextMessage(toRank);
    Header header = new Header(rank, group, stage, number, signature, elements, dtype, bytes, tag);
    Buffer buffer =
        staging.take(inline ? Math.max(Header.PARCEL_BYTES, Header.BYTES + bytes) : Header.BYTES);
    header.write(buffer.segment());
    if (inline && piece != null && bytes > 0) {
      pack(piece, buffer.segment().asSlice(Header.BYTES, bytes));
    }
    if (toRank == rank) {
      router.accept(new Arrival(header, buffer));
      return false;
    }
    headersSent[toRank]++;
    long length = Header.BYTES + (inline ? bytes : 0);
    start(true, buffer.segment(), length, toRank, HEADER_TAG, buffer, null);
    return !inline && piece != null && sendElements(piece, bytes, toRank, tag, sent);
  }

  private boolean sendElements(
      Piece piece, long bytes, int toRank, int tag, Transfer.@Nullable Completion sent) {
    MemorySegment together = piece.together(from);
    if (together != null) {
      start(true, together, bytes, toRank, tag, null, sent);
      return true;
    }
    Buffer packed = staging.take(bytes);
    pack(piece, packed.segment());
    start(true, packed.segment(), bytes, toRank, tag, packed, null);
    return false;
  }

  private int tagOfNextMessage(int toRank) {
    int tag = FIRST_DATA_TAG + nextTag[toRank];
    nextTag[toRank] = (nextTag[toRank] + 1) % DATA_TAGS;
    return tag;
  }

  private void pack(Piece piece, MemorySegment memory) {
    piece.place(from);
    to.start(memory, piece.dtype().byteSize(), piece.count());
    RunCursor.copy(from, to, piece.count());
  }

  private void unpack(MemorySegment memory, Piece piece) {
    from.start(memory, piece.dtype().byteSize(), piece.count());
    piece.place(to);
    RunCursor.copy(from, to, piece.count());
  }

  // ---- receiving

  /**
   * Brings a parcel's elements to where they belong.
   *
   * @param piece as many elements of the same type as the parcel has
   * @param received is told when the elements are there
   * @return whether {@code received} will be called; else the elements are there already
   */
  boolean accept(Arrival arrival, Piece piece, Transfer.Completion received) {
    Header header = arrival.header();
    if (header.bytes() == 0 || header.tag() == Header.INLINE) {
      if (header.bytes() > 0) {
        unpack(arrival.inlineElements(), piece);
      }
      release(arrival);
      return false;
    }
    release(arrival);
    MemorySegment together = piece.together(to);
    if (together != null) {
      start(false, together, header.bytes(), header.from(), header.tag(), null, received);
      return true;
    }
    Buffer packed = staging.take(header.bytes());
    MemorySegment data = packed.segment();
    Transfer.Completion unpacking =
        transfer -> {
          unpack(data, piece);
          received.done(transfer);
        };
    start(false, data, header.bytes(), header.from(), header.tag(), packed, unpacking);
    return true;
  }

  /** Receives and forgets a parcel's elements, so that its sender does not wait for ever. */
  void discard(Arrival arrival) {
    Header header = arrival.header();
    release(arrival);
    if (header.bytes() > 0 && header.tag() != Header.INLINE) {
      Buffer scratch = staging.take(header.bytes());
      MemorySegment data = scratch.segment();
      start(false, data, header.bytes(), header.from(), header.tag(), scratch, null);
    }
  }

  private void release(Arrival arrival) {
    if (arrival.buffer() != null) {
      staging.give(arrival.buffer());
    }
  }

  // ---- messages

  private void start(
      boolean isSend,
      MemorySegment data,
      long bytes,
      int peer,
      int tag,
      @Nullable Buffer staged,
      Transfer.@Nullable Completion completion) {
    MemorySegment[] requests =
        new MemorySegment[Math.toIntExact((bytes + chunkBytes - 1) / chunkBytes)];
    for (int i = 0; i < requests.length; i++) {
      requests[i] = takeSlot();
      long offset = i * chunkBytes;
      int length = (int) Math.min(chunkBytes, bytes - offset);
      MemorySegment chunk = offset == 0 ? data : data.asSlice(offset, length);
      if (isSend) {
        mpi.send(chunk, length, peer, tag, communicator, requests[i]);
      } else {
        mpi.receive(chunk, length, peer, tag, communicator, requests[i]);
      }
    }
    transfers.add(new Transfer(requests, staged, completion));
  }

  private MemorySegment takeSlot() {
    if (slots.isEmpty()) {
      MemorySegment slab = arena.allocate(ValueLayout.ADDRESS, SLOTS);
      for (int i = 0; i < SLOTS; i++) {
        slots.addLast(
            slab.asSlice(i * ValueLayout.ADDRESS.byteSize(), ValueLayout.ADDRESS.byteSize()));
      }
    }
    return slots.removeLast();
  }

  private void expectHeader() {
    Buffer buffer = staging.take(Header.PARCEL_BYTES);
    MemorySegment request = takeSlot();
    mpi.receive(
        buffer.segment(),
        Header.PARCEL_BYTES,
        Mpi.MPI_ANY_SOURCE(),
        HEADER_TAG,
        communicator,
        request);
    headerRequests.addLast(request);
    headerBuffers.addLast(buffer);
  }

  /** Moves what can be moved now; whether anything did. */
  boolean progress() {
    boolean moved = false;
    // Receives are matched in the order they were posted, so the oldest is the next to be done.
    while (mpi.test(headerRequests.getFirst())) {
      moved = true;
      slots.addLast(headerRequests.removeFirst());
      Buffer buffer = headerBuffers.removeFirst();
      expectHeader();
      Header header = Header.read(buffer.segment());
      headersReceived[header.from()]++;
      router.accept(new Arrival(header, buffer));
    }
    int kept = 0;
    // Completions may start transfers, which are added at the end and looked at in this pass too.
    for (int i = 0; i < transfers.size(); i++) {
      Transfer transfer = transfers.get(i);
      if (!transfer.test(mpi)) {
        transfers.set(kept++, transfer);
        continue;
      }
      moved = true;
      for (MemorySegment request : transfer.requests()) {
        slots.addLast(request);
      }
      transfer.complete();
      if (transfer.staged != null) {
        staging.give(transfer.staged);
      }
    }
    transfers.subList(kept, transfers.size()).clear();
    return moved;
  }

  /** Takes back what waits for headers; nothing else may be under way. */
  void close() {
    while (!headerRequests.isEmpty()) {
      mpi.cancel(headerRequests.removeFirst());
      staging.give(headerBuffers.removeFirst());
    }
    staging.close();
    arena.close();
    mpi.free(communicator);
  }
}
