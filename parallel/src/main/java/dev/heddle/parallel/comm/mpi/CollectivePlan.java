package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.mpi.StagingPool.Buffer;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.RunCursor;
import dev.heddle.parallel.comm.support.Slices;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * What a member sends and receives in each round of a collective, and what it computes after it.
 *
 * <p>All-reduce, reduce and broadcast of more than a few bytes take two rounds, so that each member
 * sends and combines its share only: in the first, slice i of the elements goes to member i, which
 * combines the slices in member order; in the second it goes from there to who wants it.
 */
final class CollectivePlan {
  private final CollectiveArguments arguments;
  private final CommunicationKind kind;
  private final int me;
  private final int size;
  private final MpiRank rank;
  private final boolean sliced;
  private final @Nullable Buffer[] incoming;
  private final int[] counts;
  private @Nullable Buffer own;
  private long @Nullable [][] gathered;

  CollectivePlan(CollectiveArguments arguments, int me, int size, MpiRank rank) {
    this.arguments = arguments;
    this.kind = arguments.kind();
    this.me = me;
    this.size = size;
    this.rank = rank;
    this.incoming = new Buffer[size];
    this.counts = new int[size];
    this.sliced =
        switch (kind) {
          case ALL_REDUCE, REDUCE -> isLarge() && size > 1;
          // Between two, the root is the only one that has anything to send.
          case BROADCAST -> isLarge() && size > 2;
          default -> false;
        };
  }

  private boolean isLarge() {
    NDArray array = arguments.theArray();
    return array.device().hasBytes() && !Header.fitsInline(array.size() * array.dtype().byteSize());
  }

  int rounds() {
    return sliced ? 2 : 1;
  }

  long[][] gathered() {
    if (gathered == null) {
      throw new IllegalStateException("allGather of host values gave no result");
    }
    return gathered;
  }

  // ---- pieces

  private Piece slice(int member) {
    NDArray array = arguments.theArray();
    long start = Slices.start(array, member, size);
    return Piece.of(array, start, Slices.start(array, member + 1, size) - start);
  }

  private Piece staged(Buffer buffer, DType dtype, long count) {
    return Piece.of(buffer.segment(), dtype, count);
  }

  private Piece stage(int from, DType dtype, long count) {
    Buffer buffer = rank.transport.staging().take(Math.max(1, count * dtype.byteSize()));
    incoming[from] = buffer;
    return staged(buffer, dtype, count);
  }

  private Piece ownHostValues() {
    Buffer buffer = own;
    if (buffer == null) {
      throw new IllegalStateException(kind.label() + " has no values yet");
    }
    return staged(buffer, hostType(), hostCount());
  }

  private DType hostType() {
    return arguments.doubles() != null ? DType.F64 : DType.I64;
  }

  private int hostCount() {
    double[] doubles = arguments.doubles();
    long[] longs = arguments.longs();
    return doubles != null ? doubles.length : longs != null ? longs.length : 0;
  }

  /** What goes to member {@code to}; null for nothing. */
  @Nullable Piece outgoing(int stage, int to) {
    return switch (kind) {
      case ALL_REDUCE -> stage == 2 ? slice(me) : sliced ? slice(to) : whole();
      case REDUCE -> outgoingOfReduce(stage, to);
      case BROADCAST -> outgoingOfBroadcast(stage, to);
      case REDUCE_SCATTER, ALL_TO_ALL -> Piece.of(arguments.sources().get(to));
      case ALL_GATHER -> whole();
      case GATHER -> to == arguments.root() ? whole() : null;
      case SCATTER -> me == arguments.root() ? Piece.of(arguments.sources().get(to)) : null;
      case HOST_ALL_REDUCE, HOST_ALL_GATHER -> ownHostValues();
      case BARRIER, EXCHANGE -> null;
    };
  }

  private Piece whole() {
    return Piece.of(arguments.theArray());
  }

  private @Nullable Piece outgoingOfReduce(int stage, int to) {
    if (stage == 1 && sliced) {
      return slice(to);
    }
    if (to != arguments.root()) {
      return null;
    }
    Buffer result = own;
    return stage == 1
        ? whole()
        : result == null ? null : staged(result, arguments.theArray().dtype(), slice(me).count());
  }

  private @Nullable Piece outgoingOfBroadcast(int stage, int to) {
    if (stage == 2) {
      return to == arguments.root() ? null : slice(me);
    }
    return me != arguments.root() ? null : sliced ? slice(to) : whole();
  }

  /** Whether member {@code from} sends in the second round. */
  boolean comesInSecondRound(int from) {
    boolean wanted =
        switch (kind) {
          case ALL_REDUCE -> true;
          case REDUCE, BROADCAST -> (me == arguments.root()) == (kind == CommunicationKind.REDUCE);
          default -> false;
        };
    return wanted && slice(from).count() > 0;
  }

  /**
   * Where what member {@code from} sends goes; null if it sends nothing.
   *
   * @param elements how many it sends, which fit
   */
  @Nullable Piece incoming(int stage, int from, long elements) {
    if (elements < 0) {
      return null;
    }
    return switch (kind) {
      case ALL_REDUCE, REDUCE -> stage == 2 ? slice(from) : summand(from, elements);
      case REDUCE_SCATTER -> summand(from, elements);
      case BROADCAST -> stage == 2 ? slice(from) : sliced ? slice(me) : whole();
      case ALL_GATHER, ALL_TO_ALL, GATHER -> Piece.of(arguments.destinations().get(from));
      case SCATTER -> whole();
      case HOST_ALL_REDUCE, HOST_ALL_GATHER -> hostValues(from, elements);
      case BARRIER, EXCHANGE -> null;
    };
  }

  private Piece hostValues(int from, long elements) {
    counts[from] = Math.toIntExact(elements);
    return stage(from, hostType(), elements);
  }

  private Piece summand(int from, long elements) {
    NDArray array = arguments.theArray();
    return array.device().hasBytes()
        ? stage(from, array.dtype(), elements)
        : Piece.of(array, 0, elements);
  }

  // ---- what is computed

  /** Copies what this member has for itself, and numbers from the Java heap. */
  void begin() {
    if (!arguments.hasBytes()) {
      return;
    }
    switch (kind) {
      case ALL_GATHER -> copy(arguments.theArray(), arguments.destinations().get(me));
      case ALL_TO_ALL -> copy(arguments.sources().get(me), arguments.destinations().get(me));
      case GATHER -> {
        if (me == arguments.root()) {
          copy(arguments.theArray(), arguments.destinations().get(me));
        }
      }
      case SCATTER -> {
        if (me == arguments.root()) {
          copy(arguments.sources().get(me), arguments.theArray());
        }
      }
      case HOST_ALL_REDUCE, HOST_ALL_GATHER -> takeHostValues();
      case ALL_REDUCE, REDUCE, BROADCAST, REDUCE_SCATTER, BARRIER, EXCHANGE -> {
        // Nothing goes to itself.
      }
    }
  }

  private void copy(NDArray source, NDArray destination) {
    // Sizes that differ are found out when all have come.
    if (source.size() == destination.size()) {
      RunCursor from = rank.sources[0];
      RunCursor to = rank.destinations[0];
      from.start(source);
      to.start(destination);
      RunCursor.copy(from, to, source.size());
    }
  }

  private void takeHostValues() {
    Buffer buffer = rank.transport.staging().take(Math.max(8, 8L * hostCount()));
    own = buffer;
    double[] doubles = arguments.doubles();
    long[] longs = arguments.longs();
    if (doubles != null) {
      MemorySegment.copy(doubles, 0, buffer.segment(), ValueLayout.JAVA_DOUBLE, 0, doubles.length);
    } else if (longs != null) {
      MemorySegment.copy(longs, 0, buffer.segment(), ValueLayout.JAVA_LONG, 0, longs.length);
    }
  }

  /** Does what follows a round of which everything has come. */
  void endOf(int stage) {
    if (stage == 2 || !arguments.hasBytes()) {
      return;
    }
    switch (kind) {
      case ALL_REDUCE -> reduceTo(sliced ? slice(me) : whole());
      case REDUCE -> reduceForRoot();
      case REDUCE_SCATTER ->
          combine(Piece.of(arguments.sources().get(me)), whole(), arguments.theArray().dtype());
      case HOST_ALL_REDUCE -> combine(ownHostValues(), ownHostValues(), hostType());
      case BROADCAST, ALL_GATHER, GATHER, SCATTER, ALL_TO_ALL -> {
        // Everything is where it belongs.
      }
      case HOST_ALL_GATHER, BARRIER, EXCHANGE -> {
        // Nothing is computed.
      }
    }
  }

  private void reduceTo(Piece place) {
    combine(place, place, arguments.theArray().dtype());
  }

  private void reduceForRoot() {
    Piece mine = sliced ? slice(me) : whole();
    if (me == arguments.root()) {
      reduceTo(mine);
    } else if (sliced) {
      // The array of a rank that is not the root stays as it is.
      Buffer result =
          rank.transport.staging().take(Math.max(1, mine.count() * mine.dtype().byteSize()));
      own = result;
      combine(mine, staged(result, mine.dtype(), mine.count()), mine.dtype());
    }
  }

  /** Combines this member's summand with those that came, in member order. */
  private void combine(Piece mine, Piece result, DType dtype) {
    for (int i = 0; i < size; i++) {
      Buffer buffer = incoming[i];
      Piece summand = i == me || buffer == null ? mine : staged(buffer, dtype, mine.count());
      summand.place(rank.sources[i]);
    }
    result.place(rank.destinations[0]);
    rank.reducer.reduce(
        rank.sources, size, rank.destinations, 1, mine.count(), dtype, arguments.theOp());
  }

  /** Hands numbers back to the Java heap. */
  void finish() {
    double[] doubles = arguments.doubles();
    long[] longs = arguments.longs();
    Buffer buffer = own;
    if (buffer == null) {
      return;
    }
    if (kind == CommunicationKind.HOST_ALL_GATHER && longs != null) {
      gather(longs);
    } else if (kind == CommunicationKind.HOST_ALL_REDUCE && doubles != null) {
      MemorySegment.copy(buffer.segment(), ValueLayout.JAVA_DOUBLE, 0, doubles, 0, doubles.length);
    } else if (kind == CommunicationKind.HOST_ALL_REDUCE && longs != null) {
      MemorySegment.copy(buffer.segment(), ValueLayout.JAVA_LONG, 0, longs, 0, longs.length);
    }
  }

  private void gather(long[] mine) {
    long[][] all = new long[size][];
    for (int i = 0; i < size; i++) {
      Buffer buffer = incoming[i];
      if (buffer == null) {
        all[i] = mine.clone();
      } else {
        all[i] = new long[counts[i]];
        MemorySegment.copy(buffer.segment(), ValueLayout.JAVA_LONG, 0, all[i], 0, counts[i]);
      }
    }
    gathered = all;
  }

  /** Gives the staging memory back. */
  void release() {
    for (int i = 0; i < size; i++) {
      Buffer buffer = incoming[i];
      if (buffer != null) {
        rank.transport.staging().give(buffer);
        incoming[i] = null;
      }
    }
    Buffer buffer = own;
    if (buffer != null) {
      rank.transport.staging().give(buffer);
      own = null;
    }
  }
}
