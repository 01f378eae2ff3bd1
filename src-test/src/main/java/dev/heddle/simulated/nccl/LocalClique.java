package dev.heddle.simulated.nccl;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.simulated.driver.SimulatedGpus;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of one communicator when all of them are at hand: who has got to what. Guarded by the
 * simulated GPUs, or by the {@link Hub} that it belongs to.
 */
final class LocalClique extends Clique {
  /** A split of the communicator, to which all ranks come. */
  static final class Split {
    final int[] colors;
    final int[] keys;
    final Map<Integer, LocalClique> parts = new HashMap<>();
    int came;

    Split(int size) {
      colors = new int[size];
      keys = new int[size];
    }

    int size(int color) {
      return (int) Arrays.stream(colors).filter(each -> each == color).count();
    }

    /** The number in its part of who is {@code rank} in the whole: by key, then by rank. */
    int rank(int rank) {
      int before = 0;
      for (int i = 0; i < colors.length; i++) {
        boolean first = keys[i] < keys[rank] || (keys[i] == keys[rank] && i < rank);
        before += colors[i] == colors[rank] && first ? 1 : 0;
      }
      return before;
    }
  }

  final @Nullable Communicator[] members;
  final Map<Integer, Split> splits = new HashMap<>();
  int came;
  private final Map<Long, @Nullable Arrival[]> meetings = new HashMap<>();
  private final Map<Long, boolean[]> connections = new HashMap<>();
  private final Map<Long, ArrayDeque<Arrival>> messages = new HashMap<>();

  LocalClique(String name, int size) {
    super(name, size);
    this.members = new Communicator[size];
  }

  // ---- meeting

  @Override
  Communicator join(int rank, int device) {
    Communicator made = add(rank, device);
    SimulatedGpus.wake();
    meet("meeting of " + made);
    return made;
  }

  /** One more member; {@code NcclError} if the place or the GPU is taken. */
  Communicator add(int rank, int device) {
    if (members[rank] != null) {
      throw NcclError.argument("rank " + rank + " comes twice to " + this);
    }
    for (Communicator member : members) {
      if (member != null && member.device == device) {
        throw NcclError.usage(
            "Duplicate GPU detected : rank %d and rank %d both on simulated GPU %d"
                .formatted(rank, member.rank, device));
      }
    }
    Communicator made = new Communicator(this, rank, device);
    members[rank] = made;
    came++;
    return made;
  }

  private void meet(String what) {
    if (!SimulatedGpus.await(what, () -> came == size)) {
      throw new NcclError(
          Nccl.ncclSystemError(),
          what + " waits for " + (size - came) + " rank(s) that do not come");
    }
  }

  /** Notes that a member comes to its next split. */
  Split comeToSplit(Communicator communicator, int color, int key) {
    Split split = splits.computeIfAbsent(communicator.splits++, number -> new Split(size));
    split.colors[communicator.rank] = color;
    split.keys[communicator.rank] = key;
    split.came++;
    return split;
  }

  @Override
  @Nullable Communicator split(Communicator communicator, int color, int key, String partName) {
    Split split = comeToSplit(communicator, color, key);
    SimulatedGpus.wake();
    if (!SimulatedGpus.await("ncclCommSplit of " + communicator, () -> split.came == size)) {
      throw new NcclError(Nccl.ncclSystemError(), "ncclCommSplit waits for ranks that do not come");
    }
    if (color == NO_COLOR) {
      return null;
    }
    int ranks = split.size(color);
    LocalClique part = split.parts.computeIfAbsent(color, each -> new LocalClique(partName, ranks));
    return part.join(split.rank(communicator.rank), communicator.device);
  }

  // ---- connecting

  @Override
  BooleanSupplier connect(Communicator communicator, Call call) {
    boolean[] ends = connection(communicator.rank, call);
    return () -> ends[0] && ends[1];
  }

  /**
   * Notes that a rank needs the connection of a message.
   *
   * @return the connection, with the other rank's need in it if it has come
   */
  boolean[] connection(int rank, Call call) {
    boolean sends = call.kind() == Call.Kind.SEND;
    int from = sends ? rank : call.peer();
    int to = sends ? call.peer() : rank;
    boolean[] ends = connections.computeIfAbsent((long) from * size + to, key -> new boolean[2]);
    ends[sends ? 0 : 1] = true;
    return ends;
  }

  // ---- coming

  @Override
  void arrive(Arrival arrival) {
    if (arrival.call.isMessage()) {
      arriveAtMessage(arrival);
    } else {
      arriveAtCollective(arrival);
    }
  }

  private void arriveAtMessage(Arrival arrival) {
    boolean sends = arrival.call.kind() == Call.Kind.SEND;
    int rank = arrival.communicator.rank;
    int from = sends ? rank : arrival.call.peer();
    int to = sends ? arrival.call.peer() : rank;
    ArrayDeque<Arrival> waiting =
        messages.computeIfAbsent((long) from * size + to, key -> new ArrayDeque<>());
    Arrival other = waiting.peekFirst();
    if (other == null || other.call.kind() == arrival.call.kind()) {
      waiting.addLast(arrival);
      return;
    }
    waiting.removeFirst();
    if (other.call.count() != arrival.call.count() || other.call.type() != arrival.call.type()) {
      arrival.fault = "two ends of a message do not fit: " + other + ", " + arrival;
      other.fault = arrival.fault;
      return;
    }
    Arrival sender = sends ? arrival : other;
    Arrival receiver = sends ? other : arrival;
    long bytes = arrival.call.bytes();
    MemorySegment.copy(sender.read(0, bytes), 0, receiver.written(0, bytes), 0, bytes);
    sender.done = true;
    receiver.done = true;
  }

  private void arriveAtCollective(Arrival arrival) {
    long number = arrival.communicator.collectives++;
    arrival.number = number;
    @Nullable Arrival[] meeting = meetings.computeIfAbsent(number, key -> new Arrival[size]);
    meeting[arrival.communicator.rank] = arrival;
    int there = 0;
    for (Arrival each : meeting) {
      if (each != null) {
        there++;
        if (!each.fault.isEmpty()) {
          arrival.fault = each.fault;
        } else if (!each.call.fits(arrival.call)) {
          arrival.fault = "ranks call different collectives: " + each + ", " + arrival;
        }
      }
    }
    for (Arrival each : meeting) {
      if (each != null) {
        each.fault = arrival.fault;
      }
    }
    if (there == size && arrival.fault.isEmpty()) {
      meetings.remove(number);
      Arrival[] all = new Arrival[size];
      for (int i = 0; i < size; i++) {
        all[i] = Objects.requireNonNull(meeting[i]);
      }
      run(all);
    }
  }

  // ---- doing

  private void run(Arrival[] all) {
    Call call = all[0].call;
    long bytes = call.bytes();
    try (Arena arena = Arena.ofConfined()) {
      switch (call.kind()) {
        case ALL_REDUCE -> {
          MemorySegment result = arena.allocate(Math.max(1, bytes));
          reduce(all, 0, result);
          for (Arrival each : all) {
            MemorySegment.copy(result, 0, each.written(0, bytes), 0, bytes);
          }
        }
        case REDUCE -> {
          MemorySegment result = arena.allocate(Math.max(1, bytes));
          reduce(all, 0, result);
          MemorySegment.copy(result, 0, all[call.peer()].written(0, bytes), 0, bytes);
        }
        case REDUCE_SCATTER -> {
          MemorySegment results = arena.allocate(Math.max(1, size * bytes));
          for (int i = 0; i < size; i++) {
            reduce(all, i * bytes, results.asSlice(i * bytes, bytes));
          }
          for (int i = 0; i < size; i++) {
            MemorySegment.copy(results, i * bytes, all[i].written(0, bytes), 0, bytes);
          }
        }
        case BROADCAST -> {
          MemorySegment source = all[call.peer()].read(0, bytes);
          for (Arrival each : all) {
            copy(source, each.written(0, bytes), bytes);
          }
        }
        case ALL_GATHER -> {
          for (int i = 0; i < size; i++) {
            MemorySegment source = all[i].read(0, bytes);
            for (Arrival each : all) {
              copy(source, each.written(i * bytes, bytes), bytes);
            }
          }
        }
        default -> throw new IllegalStateException(call + " is no collective");
      }
    }
    for (Arrival each : all) {
      each.done = true;
    }
  }

  private static void copy(MemorySegment from, MemorySegment to, long bytes) {
    boolean same = from.address() == to.address() && from.heapBase().equals(to.heapBase());
    if (!same) {
      MemorySegment.copy(from, 0, to, 0, bytes);
    }
  }

  private static void reduce(Arrival[] all, long offset, MemorySegment result) {
    Call call = all[0].call;
    MemorySegment[] sources = new MemorySegment[all.length];
    for (int i = 0; i < all.length; i++) {
      sources[i] = all[i].read(offset, call.bytes());
    }
    call.type().reduce(sources, call.count(), Objects.requireNonNull(call.op()), result);
  }

  // ---- getting others to come

  @Override
  void drivePartners(Arrival arrival) {
    for (int i = 0; i < size && !arrival.done && arrival.fault.isEmpty(); i++) {
      Communicator member = members[i];
      if (member == null || member == arrival.communicator || !isMissing(arrival, i)) {
        continue;
      }
      if (member.captured) {
        SimulatedGpus.driveAll(member.device, () -> isSettled(arrival));
      } else {
        for (MemorySegment stream : List.copyOf(member.streams)) {
          SimulatedGpus.drive(stream, () -> isSettled(arrival));
        }
      }
    }
  }

  /** Whether the call waits for that rank. */
  boolean isMissing(Arrival arrival, int rank) {
    if (arrival.call.isMessage()) {
      return rank == arrival.call.peer();
    }
    @Nullable Arrival[] meeting = meetings.get(arrival.number);
    return meeting != null && meeting[rank] == null;
  }

  private static boolean isSettled(Arrival arrival) {
    return arrival.done || !arrival.fault.isEmpty();
  }

  @Override
  void leave(Communicator gone) {
    for (@Nullable Arrival[] meeting : meetings.values()) {
      meeting[gone.rank] = null;
    }
    for (ArrayDeque<Arrival> waiting : messages.values()) {
      for (Iterator<Arrival> each = waiting.iterator(); each.hasNext(); ) {
        if (each.next().communicator == gone) {
          each.remove();
        }
      }
    }
  }
}
