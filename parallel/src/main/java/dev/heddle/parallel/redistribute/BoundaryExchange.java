package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Executes a {@link BoundaryPlan} on one rank: forward applies A, backward applies exactly its
 * transpose. Every rank of either side calls the same direction at the same time, also ranks that
 * stand on one side only; ranks of neither side may.
 *
 * <p>Each phase of the plan is one grouped, non-blocking exchange of all its rows, a rank's own
 * included; within one process these are copied straight from where they lie to where they go,
 * without packing. Summands are received apart and added in the plan's order, so a sum has the same
 * bits on every replica and in every run.
 *
 * <p>{@link #beginForward} and {@link #beginBackward} return while rows are under way, as soon as
 * all that this rank does on the sending side has been begun. So ranks of the sending side only may
 * begin and go on, and await whenever it suits them.
 */
public final class BoundaryExchange {
  private final BoundaryPlan plan;
  private final Communicator group;
  private final int rank;
  private final Route forward;
  private final @Nullable Route backward;

  /** One direction of the plan, as far as it concerns this rank. */
  private record Route(TransferPlan plan, List<Leg> legs, boolean identity) {}

  /**
   * This rank's part of a phase: what it sends and receives, in the plan's order.
   *
   * @param beginsWithSend whether the sending side takes part, which does so when it begins; what
   *     comes after that is between ranks of the receiving side and is begun when they await it
   * @param group the ranks of either side
   */
  private record Leg(
      Phase phase, List<Parcel> parcels, boolean beginsWithSend, Communicator group) {
    boolean gathers() {
      return phase.writes() == PlanBuffer.GATHERED;
    }
  }

  /** A transfer from or to this rank, or both. */
  private static final class Parcel {
    final Transfer transfer;
    final boolean leaves;
    final boolean arrives;
    final int sender;
    final int receiver;

    /** The row intervals in the sender's buffer: start0, end0, start1, end1, ... */
    final long[] sourceRows;

    /** The row intervals in the receiver's buffer. */
    final long[] targetRows;

    /** The receiver's rows one by one, where they are added to what is there; else empty. */
    final int[] places;

    Parcel(Transfer transfer, int rank, int sender, int receiver) {
      this.transfer = transfer;
      this.leaves = transfer.from() == rank;
      this.arrives = transfer.to() == rank;
      this.sender = sender;
      this.receiver = receiver;
      int pieces = transfer.pieces().size();
      sourceRows = new long[2 * pieces];
      targetRows = new long[2 * pieces];
      for (int i = 0; i < pieces; i++) {
        RowPiece piece = transfer.pieces().get(i);
        sourceRows[2 * i] = piece.sourcePlace();
        sourceRows[2 * i + 1] = piece.sourcePlace() + piece.rows();
        targetRows[2 * i] = piece.targetPlace();
        targetRows[2 * i + 1] = piece.targetPlace() + piece.rows();
      }
      places = isSummand() ? eachRow(targetRows) : new int[0];
    }

    /** Whether it is received apart and then added to what is there. */
    boolean isSummand() {
      return arrives && transfer.accumulate();
    }

    private static int[] eachRow(long[] bounds) {
      IntStream.Builder rows = IntStream.builder();
      for (int i = 0; i < bounds.length; i += 2) {
        for (long row = bounds[i]; row < bounds[i + 1]; row++) {
          rows.add(Math.toIntExact(row));
        }
      }
      return rows.build().toArray();
    }
  }

  /** Rows under way; await them on the thread that began. */
  public interface Pending {
    /**
     * Returns this rank's rows when they have arrived and what it sends has been taken.
     *
     * @return as {@link BoundaryExchange#forward} or {@link BoundaryExchange#backward}
     */
    @Nullable NDArray await();

    /**
     * Returns this rank's rows as soon as they have arrived. What it sends may still be under way:
     * {@link #await} is owed as before, and what was brought must not change until then.
     *
     * @return as {@link #await}
     */
    @Nullable NDArray awaitRows();

    /**
     * Whether {@link #await} would return at once. Polling makes progress with what has been begun,
     * but begins nothing.
     */
    boolean isDone();
  }

  /**
   * The executor of {@code plan} on this rank.
   *
   * @param group all ranks of either side, and perhaps more
   * @throws IllegalArgumentException if the plan moves rows of a rank that is not in the group
   */
  public BoundaryExchange(BoundaryPlan plan, Communicator group) {
    this.plan = plan;
    this.group = group;
    this.rank = group.globalRank(group.rank());
    Map<Integer, Integer> members = new HashMap<>();
    for (int member = 0; member < group.size(); member++) {
      members.put(group.globalRank(member), member);
    }
    this.forward = route(plan.forward(), members);
    this.backward = plan.backward().map(back -> route(back, members)).orElse(null);
  }

  private Route route(TransferPlan transfers, Map<Integer, Integer> members) {
    boolean identity = transfers.isIdentity();
    List<Leg> legs = new ArrayList<>();
    boolean crossed = false;
    for (int number = 0; number < transfers.phases().size(); number++) {
      Phase phase = transfers.phases().get(number);
      boolean beginsWithSend = !crossed;
      crossed = phase.writes() != PlanBuffer.GATHERED;
      List<Parcel> parcels = new ArrayList<>();
      for (Transfer transfer : phase.transfers()) {
        if (transfer.from() == rank || transfer.to() == rank) {
          int sender = member(transfer.from(), members);
          parcels.add(new Parcel(transfer, rank, sender, member(transfer.to(), members)));
        }
      }
      if (!parcels.isEmpty() && !identity) {
        legs.add(new Leg(phase, parcels, beginsWithSend, groupOf(number, phase)));
      }
    }
    return new Route(transfers, legs, identity);
  }

  /**
   * Each phase has its own group, in which messages keep their order: a rank may begin the first
   * phase of what comes next before the last one of this.
   */
  private Communicator groupOf(int number, Phase phase) {
    return number == 0
        ? group
        : group
            .subgroup(group.name() + ", " + number + " " + phase.name(), group.globalRanks())
            .orElseThrow();
  }

  private int member(int globalRank, Map<Integer, Integer> members) {
    Integer member = members.get(globalRank);
    if (member == null) {
      throw new IllegalArgumentException(
          "boundary: the plan moves rows of rank "
              + globalRank
              + ", which is not in group "
              + group.name()
              + " of ranks "
              + group.globalRanks()
              + "; give the executor a group of all ranks of both sides");
    }
    return member;
  }

  /** The plan that is executed. */
  public BoundaryPlan plan() {
    return plan;
  }

  /**
   * Moves the value: each destination rank gets the rows it needs.
   *
   * @param rows this rank's rows [rows, features] in the source layout, contiguous, not changed;
   *     null on a rank that is not in the source mesh
   * @param device where the result is made
   * @param dtype the type of the rows, the same on every rank
   * @return this rank's rows in the destination layout, with zeros at places of the buffer where no
   *     row of the boundary belongs, or null if it is not in that mesh; {@code rows} itself where
   *     nothing has to move
   * @throws IllegalArgumentException if {@code rows} is not what the plan says this rank holds
   */
  public @Nullable NDArray forward(@Nullable NDArray rows, Device device, DType dtype) {
    return beginForward(rows, device, dtype).await();
  }

  /**
   * Moves the gradient back, by the exact transpose of {@link #forward}.
   *
   * @param gradient of this rank's destination rows, or null on a rank that is not in that mesh
   * @return the gradient of this rank's source rows, complete, or null if it is not in that mesh
   * @throws IllegalStateException if the plan sends no gradients
   */
  public @Nullable NDArray backward(@Nullable NDArray gradient, Device device, DType dtype) {
    return beginBackward(gradient, device, dtype).await();
  }

  /** Starts {@link #forward}; {@code rows} must not change until it is awaited. */
  public Pending beginForward(@Nullable NDArray rows, Device device, DType dtype) {
    return begin(forward, rows, device, dtype);
  }

  /** Starts {@link #backward}; {@code gradient} must not change until it is awaited. */
  public Pending beginBackward(@Nullable NDArray gradient, Device device, DType dtype) {
    Route back = backward;
    if (back == null) {
      throw new IllegalStateException(
          "boundary: backward was asked for, but the plan was made for a frozen source");
    }
    return begin(back, gradient, device, dtype);
  }

  private Pending begin(Route route, @Nullable NDArray input, Device device, DType dtype) {
    check(route.plan, input, dtype);
    if (route.identity) {
      boolean isDestination = route.plan.buffer(PlanBuffer.OUTPUT).find(rank) != null;
      // A destination rank that brings nothing needs no rows, but still a buffer for none of them.
      NDArray output =
          isDestination && input == null
              ? make(route.plan, PlanBuffer.OUTPUT, device, dtype)
              : input;
      return new Arrived(isDestination ? output : null);
    }
    return new Journey(route, input, device, dtype);
  }

  /** Rows that did not have to move. */
  private record Arrived(@Nullable NDArray rows) implements Pending {
    @Override
    public @Nullable NDArray await() {
      return rows;
    }

    @Override
    public @Nullable NDArray awaitRows() {
      return rows;
    }

    @Override
    public boolean isDone() {
      return true;
    }
  }

  /** One execution of a route: the buffers, and the leg that is under way. */
  private final class Journey implements Pending {
    private final Route route;
    private final EnumMap<PlanBuffer, NDArray> buffers = new EnumMap<>(PlanBuffer.class);
    private final List<NDArray> summands = new ArrayList<>();
    private final List<Handle> sending = new ArrayList<>();
    private int next;
    private @Nullable Leg leg;
    private @Nullable Handle underWay;

    Journey(Route route, @Nullable NDArray input, Device device, DType dtype) {
      this.route = route;
      for (PlanBuffer name : route.plan.buffers().keySet()) {
        NDArray buffer = name == PlanBuffer.INPUT ? input : make(route.plan, name, device, dtype);
        if (buffer != null) {
          buffers.put(name, buffer);
        }
      }
      // Gathering is between ranks of the sending side, which are all here.
      while (beginsNow() && route.legs.get(next).gathers()) {
        beginLeg();
        finishLeg();
      }
      if (beginsNow()) {
        beginLeg();
      }
    }

    private boolean beginsNow() {
      return next < route.legs.size() && route.legs.get(next).beginsWithSend;
    }

    @Override
    public @Nullable NDArray await() {
      NDArray rows = awaitRows();
      sending.forEach(Handle::await);
      sending.clear();
      return rows;
    }

    @Override
    public @Nullable NDArray awaitRows() {
      finishLeg();
      while (next < route.legs.size()) {
        beginLeg();
        finishLeg();
      }
      return buffers.get(PlanBuffer.OUTPUT);
    }

    @Override
    public boolean isDone() {
      Handle handle = underWay;
      if (next < route.legs.size() || handle != null && !handle.isDone()) {
        return false;
      }
      sending.removeIf(Handle::isDone);
      return sending.isEmpty();
    }

    /**
     * What comes next needs what has come in, and not that others have taken what was sent to them:
     * they may be waiting for just what this rank does next.
     */
    private void finishLeg() {
      Leg done = leg;
      Handle handle = underWay;
      if (done == null || handle == null) {
        return;
      }
      // The result is given away, so that nobody may still be reading it.
      if (done.phase.reads() == PlanBuffer.OUTPUT) {
        handle.await();
      } else {
        handle.awaitArrivals();
        sending.add(handle);
      }
      leg = null;
      underWay = null;
      addSummands(done);
    }

    private void beginLeg() {
      Leg begun = route.legs.get(next++);
      NDArray source = buffers.get(begun.phase.reads());
      NDArray target = buffers.get(begun.phase.writes());
      List<Message> messages = new ArrayList<>(begun.parcels.size());
      for (Parcel parcel : begun.parcels) {
        Transfer transfer = parcel.transfer;
        long columns = transfer.features().size();
        if (parcel.leaves) {
          messages.add(
              Message.sendRows(
                  parcel.receiver,
                  need(source, transfer),
                  parcel.sourceRows,
                  transfer.sourceColumn(),
                  columns));
        }
        if (parcel.isSummand()) {
          NDArray into = need(target, transfer);
          NDArray summand = NDArray.empty(into.device(), into.dtype(), transfer.rows(), columns);
          summands.add(summand);
          messages.add(Message.receive(parcel.sender, summand));
        } else if (parcel.arrives) {
          messages.add(
              Message.receiveRows(
                  parcel.sender,
                  need(target, transfer),
                  parcel.targetRows,
                  transfer.targetColumn(),
                  columns));
        }
      }
      leg = begun;
      underWay = begun.group.exchange(messages);
    }

    /** Adds what was received apart, after everything that is written has been written. */
    private void addSummands(Leg done) {
      int taken = 0;
      for (Parcel parcel : done.parcels) {
        if (parcel.isSummand()) {
          NDArray summand = summands.get(taken++);
          addRows(summand, parcel, need(buffers.get(done.phase.writes()), parcel.transfer));
          summand.free();
        }
      }
      summands.clear();
    }

    private NDArray need(@Nullable NDArray buffer, Transfer transfer) {
      if (buffer == null) {
        throw new IllegalStateException(
            "boundary "
                + route.plan.direction()
                + ": rank "
                + rank
                + " has no buffer for "
                + transfer);
      }
      return buffer;
    }
  }

  private @Nullable NDArray make(
      TransferPlan transfers, PlanBuffer name, Device device, DType dtype) {
    Holding holding = transfers.buffer(name).find(rank);
    if (holding == null) {
      return null;
    }
    NDArray buffer = NDArray.empty(device, dtype, holding.bufferRows(), holding.features().size());
    if (holding.runs().size() < holding.bufferRows()) {
      // Places of other rows, such as words: what belongs there is added to zeros.
      buffer.kernels().fill(buffer, 0);
    }
    return buffer;
  }

  private static void addRows(NDArray summand, Parcel parcel, NDArray target) {
    Transfer transfer = parcel.transfer;
    NDArray rows = NDArray.of(target.device(), Shape.of(parcel.places.length), parcel.places);
    long column = transfer.targetColumn();
    NDArray columns = target.slice(1, column, column + transfer.features().size());
    target.kernels().scatterAddRows(summand, rows, columns);
    rows.free();
  }

  private void check(TransferPlan transfers, @Nullable NDArray input, DType dtype) {
    Holding held = transfers.buffer(PlanBuffer.INPUT).find(rank);
    if (held == null && input == null) {
      return;
    }
    String where = "boundary " + transfers.direction() + " on rank " + rank + ": ";
    if (held == null) {
      throw new IllegalArgumentException(
          where
              + "the rank is not in the mesh that rows come from, but it brought "
              + input
              + "; pass null");
    }
    long rows = held.bufferRows();
    long columns = held.features().size();
    if (input == null) {
      throw new IllegalArgumentException(
          where
              + "wanted its rows ["
              + rows
              + ","
              + columns
              + "], got none; a rank without rows"
              + " brings an array of none");
    }
    if (input.rank() != 2
        || input.dim(0) != rows
        || input.dim(1) != columns
        || input.dtype() != dtype
        || !input.isContiguous()) {
      throw new IllegalArgumentException(
          where
              + "wanted contiguous "
              + dtype
              + " rows ["
              + rows
              + ","
              + columns
              + "], got "
              + input);
    }
  }
}
