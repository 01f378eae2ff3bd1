package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Executes a {@link BoundaryPlan} on one rank: forward applies A, backward applies exactly its
 * transpose. Every rank of either side calls the same direction at the same time, also ranks that
 * stand on one side only; ranks of neither side may.
 *
 * <p>Each phase of the plan is one grouped, non-blocking exchange of all its rows; within one
 * process these are copied straight from where they lie to where they go, without packing. What a
 * rank keeps it copies itself, while others come, where its memory is main memory; else it is part
 * of the exchange. Summands are received apart and added in the plan's order, so a sum has the same
 * bits on every replica and in every run.
 *
 * <p>{@link #beginForward} and {@link #beginBackward} return while rows are under way, as soon as
 * all that this rank does on the sending side has been begun. So ranks of the sending side only may
 * begin and go on, and await whenever it suits them.
 */
public final class BoundaryExchange {
  /** The receives of a phase in which nothing comes. */
  private static final Handle NOTHING =
      new Handle() {
        @Override
        public void await() {}

        @Override
        public boolean isDone() {
          return true;
        }
      };

  private static final int BUFFERS = PlanBuffer.values().length;

  private final BoundaryPlan plan;
  private final Function<String, Communicator> groups;
  private final int rank;
  private final Route forward;
  private final @Nullable Route backward;
  private final KeptRows kept = new KeptRows();

  /** One direction of the plan, as far as it concerns this rank. */
  private record Route(
      TransferPlan plan,
      List<Leg> legs,
      boolean identity,
      @Nullable Holding input,
      List<Made> made) {
    @Nullable Made output() {
      Made last = made.isEmpty() ? null : made.getLast();
      return last != null && last.name == PlanBuffer.OUTPUT ? last : null;
    }
  }

  /** A buffer of this rank that is made for each execution, in the order of {@link PlanBuffer}. */
  private record Made(PlanBuffer name, Shape shape, BlankPlaces blanks) {}

  /** This rank's part of a phase: what it sends and receives, in the plan's order. */
  private record Leg(Phase phase, Communicator group, List<Parcel> parcels, boolean hasSummands) {}

  /** A transfer from or to this rank, or both. */
  private static final class Parcel {
    final Transfer transfer;
    final boolean leaves;
    final boolean arrives;
    final long columns;
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
      this.columns = transfer.features().size();
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

  /** Rows under way, on the thread that began. */
  public interface Pending {
    /**
     * Returns this rank's rows when they have arrived; called once, by ranks of the receiving side.
     * Does not wait for others to take what this rank sends: they may come to it much later.
     *
     * @return as {@link BoundaryExchange#forward} or {@link BoundaryExchange#backward}
     */
    @Nullable NDArray awaitRows();

    /** Whether {@link #awaitSent} would return at once. Polling makes progress. */
    boolean isSent();

    /**
     * Returns when all that this rank has begun to send has been taken, so that what it was sent
     * from may change.
     */
    void awaitSent();

    /** The arrays that were made for this, the result included; they are read until it is sent. */
    List<NDArray> buffers();
  }

  /**
   * The executor of {@code plan} on this rank.
   *
   * @param group all ranks of either side, and perhaps more
   * @throws IllegalArgumentException if the plan moves rows of a rank that is not in the group
   */
  public BoundaryExchange(BoundaryPlan plan, Communicator group) {
    this(plan, phase -> group);
  }

  /**
   * The executor of {@code plan} on this rank, with several exchanges under way at a time: each
   * phase has a group of its own, since a rank may begin a phase of one exchange before or after
   * another phase of the next, and messages keep their order only within a group.
   *
   * @param groups by direction and phase, such as {@code forward gather}: all ranks of either side
   */
  public BoundaryExchange(BoundaryPlan plan, Function<String, Communicator> groups) {
    this.plan = plan;
    this.groups = groups;
    Communicator any = groups.apply("forward exchange");
    this.rank = any.globalRank(any.rank());
    this.forward = route(plan.forward());
    this.backward = plan.backward().map(this::route).orElse(null);
  }

  private static Map<Integer, Integer> members(Communicator group) {
    Map<Integer, Integer> members = new HashMap<>();
    for (int member = 0; member < group.size(); member++) {
      members.put(group.globalRank(member), member);
    }
    return members;
  }

  private Route route(TransferPlan transfers) {
    boolean identity = transfers.isIdentity();
    List<Leg> legs = new ArrayList<>();
    for (Phase phase : transfers.phases()) {
      Communicator group = groups.apply(transfers.direction() + " " + phase.name());
      Map<Integer, Integer> members = members(group);
      List<Parcel> parcels = new ArrayList<>();
      for (Transfer transfer : phase.transfers()) {
        if (transfer.from() == rank || transfer.to() == rank) {
          int sender = member(transfer.from(), group, members);
          parcels.add(new Parcel(transfer, rank, sender, member(transfer.to(), group, members)));
        }
      }
      // Also a phase that this rank has no part in keeps its place: what comes after it belongs to
      // the receiving side, and must not begin with the send.
      if (!identity) {
        legs.add(new Leg(phase, group, parcels, parcels.stream().anyMatch(Parcel::isSummand)));
      }
    }
    Holding input = null;
    List<Made> made = new ArrayList<>();
    for (PlanBuffer name : PlanBuffer.values()) {
      Holdings holdings = transfers.buffers().get(name);
      Holding mine = holdings == null ? null : holdings.find(rank);
      if (mine != null && name == PlanBuffer.INPUT) {
        input = mine;
      } else if (mine != null) {
        Shape shape = Shape.of(mine.bufferRows(), mine.features().size());
        made.add(new Made(name, shape, new BlankPlaces(mine)));
      }
    }
    return new Route(transfers, legs, identity, input, made);
  }

  private static int member(int globalRank, Communicator group, Map<Integer, Integer> members) {
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
    return whole(beginForward(rows, device, dtype));
  }

  /**
   * Moves the gradient back, by the exact transpose of {@link #forward}.
   *
   * @param gradient of this rank's destination rows, or null on a rank that is not in that mesh
   * @return the gradient of this rank's source rows, complete, or null if it is not in that mesh
   * @throws IllegalStateException if the plan sends no gradients
   */
  public @Nullable NDArray backward(@Nullable NDArray gradient, Device device, DType dtype) {
    return whole(beginBackward(gradient, device, dtype));
  }

  private static @Nullable NDArray whole(Pending pending) {
    NDArray rows = pending.awaitRows();
    pending.awaitSent();
    return rows;
  }

  /** Starts {@link #forward}; {@code rows} must not change until they are sent. */
  public Pending beginForward(@Nullable NDArray rows, Device device, DType dtype) {
    return begin(forward, rows, device, dtype);
  }

  /** Starts {@link #backward}; {@code gradient} must not change until it is sent. */
  public Pending beginBackward(@Nullable NDArray gradient, Device device, DType dtype) {
    Route back = backward;
    if (back == null) {
      throw new IllegalStateException(
          "boundary: backward was asked for, but the plan was made for a frozen source");
    }
    return begin(back, gradient, device, dtype);
  }

  private Pending begin(Route route, @Nullable NDArray input, Device device, DType dtype) {
    check(route, input, dtype);
    if (route.identity) {
      Made made = route.output();
      // A destination rank that brings nothing needs no rows, but still a buffer for none of them.
      NDArray output = input;
      if (made != null && input == null) {
        output = NDArray.empty(device, dtype, made.shape);
        made.blanks.clear(output);
      }
      return new Arrived(made != null ? output : null);
    }
    return new Journey(route, input, device, dtype);
  }

  /** Rows that did not have to move. */
  private record Arrived(@Nullable NDArray rows) implements Pending {
    @Override
    public @Nullable NDArray awaitRows() {
      return rows;
    }

    @Override
    public boolean isSent() {
      return true;
    }

    @Override
    public void awaitSent() {}

    @Override
    public List<NDArray> buffers() {
      return rows == null ? List.of() : List.of(rows);
    }
  }

  /** One execution of a route: the buffers, and the leg that is under way. */
  private final class Journey implements Pending {
    private final Route route;

    /** Whether this thread can copy the rank's own rows, without the communicator. */
    private final boolean ownMemory;

    /** By the number of the {@link PlanBuffer}. */
    private final @Nullable NDArray[] buffers = new NDArray[BUFFERS];

    /** What leg each has under way to others; null where it sends nothing or all is taken. */
    private final @Nullable Handle[] sending;

    private final List<NDArray> summands;
    private int leg;
    private @Nullable Handle receiving;

    Journey(Route route, @Nullable NDArray input, Device device, DType dtype) {
      this.route = route;
      this.ownMemory = device instanceof CpuDevice;
      int legs = route.legs.size();
      this.sending = new Handle[legs];
      this.summands = hasSummands(route) ? new ArrayList<>() : List.of();
      buffers[PlanBuffer.INPUT.ordinal()] = input;
      for (int i = 0; i < route.made.size(); i++) {
        Made made = route.made.get(i);
        buffers[made.name.ordinal()] = NDArray.empty(device, dtype, made.shape);
      }
      // Other devices clear whole buffers, which must come before the rows.
      if (!ownMemory) {
        clearBlanks();
      }
      if (legs > 0) {
        start(route.legs.getFirst());
      }
      if (ownMemory) {
        clearBlanks();
      }
      if (legs > 0) {
        // Gathering is between ranks of the sending side, which are all here.
        while (receiving != null && route.legs.get(leg).phase.writes() == PlanBuffer.GATHERED) {
          finishLeg();
        }
      }
    }

    private static boolean hasSummands(Route route) {
      for (int i = 0; i < route.legs.size(); i++) {
        if (route.legs.get(i).hasSummands) {
          return true;
        }
      }
      return false;
    }

    @Override
    public @Nullable NDArray awaitRows() {
      while (receiving != null) {
        finishLeg();
      }
      return buffers[PlanBuffer.OUTPUT.ordinal()];
    }

    @Override
    public boolean isSent() {
      for (int i = 0; i < sending.length; i++) {
        Handle handle = sending[i];
        if (handle != null) {
          if (!handle.isDone()) {
            return false;
          }
          handle.await();
          sending[i] = null;
        }
      }
      return true;
    }

    @Override
    public void awaitSent() {
      for (int i = 0; i < sending.length; i++) {
        Handle handle = sending[i];
        if (handle != null) {
          handle.await();
          sending[i] = null;
        }
      }
    }

    @Override
    public List<NDArray> buffers() {
      List<NDArray> all = new ArrayList<>();
      for (Made made : route.made) {
        NDArray buffer = buffers[made.name.ordinal()];
        if (buffer != null) {
          all.add(buffer);
        }
      }
      return all;
    }

    private void finishLeg() {
      Handle handle = receiving;
      if (handle != null) {
        handle.await();
      }
      receiving = null;
      Leg done = route.legs.get(leg);
      if (done.hasSummands) {
        addSummands(done);
      }
      if (leg + 1 < route.legs.size()) {
        start(route.legs.get(++leg));
      }
    }

    private void start(Leg next) {
      NDArray source = buffers[next.phase.reads().ordinal()];
      NDArray target = buffers[next.phase.writes().ordinal()];
      int parcels = next.parcels.size();
      List<Message> sends = new ArrayList<>(parcels);
      List<Message> receives = new ArrayList<>(parcels);
      for (int i = 0; i < parcels; i++) {
        Parcel parcel = next.parcels.get(i);
        if (!staysHere(parcel)) {
          if (parcel.leaves) {
            sends.add(send(parcel, need(source, parcel.transfer)));
          }
          if (parcel.arrives) {
            receives.add(receive(parcel, need(target, parcel.transfer)));
          }
        }
      }
      // Apart, since others may take what is sent long after what they send has come.
      if (!sends.isEmpty()) {
        sending[leg] = next.group.exchange(sends);
      }
      receiving = receives.isEmpty() ? NOTHING : next.group.exchange(receives);
      // After others have been given what they wait for, and while they come to give theirs.
      for (int i = 0; i < parcels; i++) {
        Parcel parcel = next.parcels.get(i);
        if (staysHere(parcel)) {
          keep(parcel, need(source, parcel.transfer), need(target, parcel.transfer));
        }
      }
    }

    private Message send(Parcel parcel, NDArray source) {
      long column = parcel.transfer.sourceColumn();
      return Message.sendRows(parcel.receiver, source, parcel.sourceRows, column, parcel.columns);
    }

    private Message receive(Parcel parcel, NDArray target) {
      if (parcel.isSummand()) {
        long rows = parcel.transfer.rows();
        NDArray summand = NDArray.empty(target.device(), target.dtype(), rows, parcel.columns);
        summands.add(summand);
        return Message.receive(parcel.sender, summand);
      }
      long column = parcel.transfer.targetColumn();
      return Message.receiveRows(parcel.sender, target, parcel.targetRows, column, parcel.columns);
    }

    /** Whether it is from this rank to itself and no concern of the communicator. */
    private boolean staysHere(Parcel parcel) {
      return ownMemory && parcel.leaves && parcel.arrives && !parcel.isSummand();
    }

    private void keep(Parcel parcel, NDArray source, NDArray target) {
      Transfer transfer = parcel.transfer;
      target.block().touch();
      kept.copy(
          source,
          parcel.sourceRows,
          transfer.sourceColumn(),
          target,
          parcel.targetRows,
          transfer.targetColumn(),
          parcel.columns);
    }

    private void clearBlanks() {
      for (int i = 0; i < route.made.size(); i++) {
        Made made = route.made.get(i);
        NDArray buffer = buffers[made.name.ordinal()];
        if (buffer != null) {
          made.blanks.clear(buffer);
        }
      }
    }

    /** Adds what was received apart, after everything that is written has been written. */
    private void addSummands(Leg done) {
      int next = 0;
      for (Parcel parcel : done.parcels) {
        if (parcel.isSummand()) {
          NDArray summand = summands.get(next++);
          NDArray target = buffers[done.phase.writes().ordinal()];
          addRows(summand, parcel, need(target, parcel.transfer));
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

  private static void addRows(NDArray summand, Parcel parcel, NDArray target) {
    Transfer transfer = parcel.transfer;
    NDArray rows = NDArray.of(target.device(), Shape.of(parcel.places.length), parcel.places);
    long column = transfer.targetColumn();
    NDArray columns = target.slice(1, column, column + transfer.features().size());
    target.kernels().scatterAddRows(summand, rows, columns);
    rows.free();
  }

  private void check(Route route, @Nullable NDArray input, DType dtype) {
    Holding held = route.input;
    if (held == null && input == null) {
      return;
    }
    if (held == null) {
      throw new IllegalArgumentException(
          where(route)
              + "the rank is not in the mesh that rows come from, but it brought "
              + input
              + "; pass null");
    }
    long rows = held.bufferRows();
    long columns = held.features().size();
    if (input == null) {
      throw new IllegalArgumentException(
          where(route)
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
          where(route)
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

  private String where(Route route) {
    return "boundary " + route.plan.direction() + " on rank " + rank + ": ";
  }
}
