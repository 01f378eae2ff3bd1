package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Executes a {@link BoundaryPlan} on one rank: forward applies A, backward applies exactly its
 * transpose. Every rank of the group calls the same direction at the same time, also ranks that
 * stand only on one side. Each phase is one grouped, non-blocking exchange; within one process it
 * copies straight from the sender's array to the receiver's, without packing.
 */
public final class BoundaryExchange {
  private final BoundaryPlan plan;
  private final Communicator group;
  private final Map<Integer, Integer> members;
  private final Direction forward;
  private final @Nullable Direction backward;

  /** One direction, as far as it concerns this rank. */
  private record Direction(TransferPlan plan, List<RankPart> parts, boolean identity) {}

  /** One phase of it: transfers with the row bounds on this rank's side. */
  private record RankPart(Phase phase, List<Part> copies, List<Part> sends, List<Part> receives) {}

  /** A transfer and which rows of this rank's buffers it touches, as start0, end0, start1, ... */
  private record Part(Transfer transfer, long[] sourceRows, long[] targetRows) {
    static Part of(Transfer transfer) {
      int pieces = transfer.pieces().size();
      long[] source = new long[2 * pieces];
      long[] target = new long[2 * pieces];
      for (int i = 0; i < pieces; i++) {
        RowPiece piece = transfer.pieces().get(i);
        source[2 * i] = piece.sourcePlace();
        source[2 * i + 1] = piece.sourcePlace() + piece.rows();
        target[2 * i] = piece.targetPlace();
        target[2 * i + 1] = piece.targetPlace() + piece.rows();
      }
      return new Part(transfer, source, target);
    }
  }

  /**
   * The executor of {@code plan} on this rank.
   *
   * @param group all ranks of either side, and perhaps more
   */
  public BoundaryExchange(BoundaryPlan plan, Communicator group) {
    this.plan = plan;
    this.group = group;
    Map<Integer, Integer> numbers = new HashMap<>();
    for (int member = 0; member < group.size(); member++) {
      numbers.put(group.globalRank(member), member);
    }
    this.members = numbers;
    this.forward = direction(plan.forward());
    this.backward = plan.backward().map(this::direction).orElse(null);
  }

  private Direction direction(TransferPlan transfers) {
    List<RankPart> parts = new ArrayList<>();
    for (TransferPlan.RankPhase phase : transfers.forRank(rank())) {
      parts.add(
          new RankPart(
              phase.phase(),
              phase.copies().stream().map(Part::of).toList(),
              phase.sends().stream().map(Part::of).toList(),
              phase.receives().stream().map(Part::of).toList()));
    }
    return new Direction(transfers, parts, transfers.isIdentity());
  }

  /** The plan that is executed. */
  public BoundaryPlan plan() {
    return plan;
  }

  private int rank() {
    return group.globalRank(group.rank());
  }

  /**
   * Moves the value: each destination rank gets the rows it needs.
   *
   * @param rows this rank's rows [rows, features] in the source layout, contiguous, not changed; null
   *     on a rank that is not in the source mesh
   * @return this rank's rows in the destination layout, or null if it is not in that mesh; may be
   *     {@code rows} itself where nothing has to move
   */
  public @Nullable NDArray forward(@Nullable NDArray rows, Device device, DType dtype) {
    return run(forward, rows, device, dtype);
  }

  /**
   * Moves the gradient back, by the exact transpose of {@link #forward}.
   *
   * @param gradient of this rank's destination rows, or null on a rank that is not in that mesh
   * @return the gradient of this rank's source rows, complete, or null if it is not in that mesh
   * @throws IllegalStateException if the plan sends no gradients
   */
  public @Nullable NDArray backward(@Nullable NDArray gradient, Device device, DType dtype) {
    Direction back = backward;
    if (back == null) {
      throw new IllegalStateException(
          "boundary: backward was asked for, but the plan was made for a frozen source");
    }
    return run(back, gradient, device, dtype);
  }

  private @Nullable NDArray run(
      Direction direction, @Nullable NDArray input, Device device, DType dtype) {
    Holding held = direction.plan.buffer(PlanBuffer.INPUT).find(rank());
    check(direction.plan, held, input, dtype);
    if (direction.identity) {
      return direction.plan.buffer(PlanBuffer.OUTPUT).find(rank()) == null ? null : input;
    }
    Map<PlanBuffer, NDArray> buffers = new EnumMap<>(PlanBuffer.class);
    direction
        .plan
        .buffers()
        .forEach(
            (name, holdings) -> {
              NDArray buffer = name == PlanBuffer.INPUT ? input : make(holdings, device, dtype);
              if (buffer != null) {
                buffers.put(name, buffer);
              }
            });
    for (RankPart part : direction.parts) {
      run(part, buffers);
    }
    return buffers.get(PlanBuffer.OUTPUT);
  }

  private @Nullable NDArray make(Holdings holdings, Device device, DType dtype) {
    Holding holding = holdings.find(rank());
    if (holding == null) {
      return null;
    }
    NDArray buffer =
        NDArray.empty(device, dtype, holding.bufferRows(), holding.features().size());
    if (holding.runs().size() < holding.bufferRows()) {
      // Places of other rows, such as words: the rows' owner adds into zeros.
      buffer.kernels().fill(buffer, 0);
    }
    return buffer;
  }

  private void run(RankPart part, Map<PlanBuffer, NDArray> buffers) {
    NDArray source = buffers.get(part.phase.reads());
    NDArray target = buffers.get(part.phase.writes());
    List<dev.heddle.parallel.comm.Message> messages = new ArrayList<>();
    List<NDArray> summands = new ArrayList<>();
    for (Part send : part.sends) {
      Transfer transfer = send.transfer;
      messages.add(
          dev.heddle.parallel.comm.Message.sendRows(
              member(transfer.to()),
              need(source, transfer),
              send.sourceRows,
              transfer.sourceColumn(),
              transfer.features().size()));
    }
    for (Part receive : part.receives) {
      Transfer transfer = receive.transfer;
      NDArray into = need(target, transfer);
      if (transfer.accumulate()) {
        NDArray summand =
            NDArray.empty(
                into.device(), into.dtype(), transfer.rows(), transfer.features().size());
        summands.add(summand);
        messages.add(
            dev.heddle.parallel.comm.Message.receive(member(transfer.from()), summand));
      } else {
        messages.add(
            dev.heddle.parallel.comm.Message.receiveRows(
                member(transfer.from()),
                into,
                receive.targetRows,
                transfer.targetColumn(),
                transfer.features().size()));
      }
    }
    Handle handle = messages.isEmpty() ? null : group.exchange(messages);
    for (Part copy : part.copies) {
      if (!copy.transfer.accumulate()) {
        copyRows(copy, need(source, copy.transfer), need(target, copy.transfer));
      }
    }
    if (handle != null) {
      handle.await();
    }
    accumulate(part, source, target, summands);
  }

  /** Adds the summands in the plan's order, so that the sum has the same bits on every replica. */
  private void accumulate(
      RankPart part,
      @Nullable NDArray source,
      @Nullable NDArray target,
      List<NDArray> summands) {
    int received = 0;
    Map<Transfer, NDArray> bySource = new IdentityHashMap<>();
    for (Part receive : part.receives) {
      if (receive.transfer.accumulate()) {
        bySource.put(receive.transfer, summands.get(received++));
      }
    }
    for (Transfer transfer : part.phase.transfers()) {
      if (transfer.to() != rank() || !transfer.accumulate()) {
        continue;
      }
      NDArray into = need(target, transfer);
      NDArray summand = bySource.get(transfer);
      long row = 0;
      for (RowPiece piece : transfer.pieces()) {
        NDArray from =
            summand == null
                ? window(
                    need(source, transfer),
                    piece.sourcePlace(),
                    piece.rows(),
                    transfer.sourceColumn(),
                    transfer.features().size())
                : summand.slice(0, row, row + piece.rows());
        add(
            from,
            window(
                into,
                piece.targetPlace(),
                piece.rows(),
                transfer.targetColumn(),
                transfer.features().size()));
        row += piece.rows();
      }
    }
  }

  private static void add(NDArray from, NDArray into) {
    if (into.isContiguous()) {
      into.kernels().binary(BinaryOperation.ADD, into, from, into);
    } else {
      NDArray sum = into.copy();
      sum.kernels().binary(BinaryOperation.ADD, sum, from, sum);
      sum.kernels().copy(sum, into);
    }
  }

  private static void copyRows(Part copy, NDArray source, NDArray target) {
    Transfer transfer = copy.transfer;
    long columns = transfer.features().size();
    for (RowPiece piece : transfer.pieces()) {
      target
          .kernels()
          .copy(
              window(source, piece.sourcePlace(), piece.rows(), transfer.sourceColumn(), columns),
              window(target, piece.targetPlace(), piece.rows(), transfer.targetColumn(), columns));
    }
  }

  private static NDArray window(NDArray buffer, long row, long rows, long column, long columns) {
    return buffer.slice(0, row, row + rows).slice(1, column, column + columns);
  }

  private int member(int rank) {
    Integer member = members.get(rank);
    if (member == null) {
      throw new IllegalArgumentException(
          "boundary: the plan moves rows of rank " + rank + ", which is not in group "
              + group.name() + " " + group.globalRanks());
    }
    return member;
  }

  private NDArray need(@Nullable NDArray buffer, Transfer transfer) {
    if (buffer == null) {
      throw new IllegalStateException(
          "boundary: rank " + rank() + " has no buffer for " + transfer);
    }
    return buffer;
  }

  private void check(
      TransferPlan transfers, @Nullable Holding held, @Nullable NDArray input, DType dtype) {
    if (held == null && input == null) {
      return;
    }
    String where = "boundary " + transfers.direction() + " on rank " + rank() + ": ";
    if (held == null || input == null) {
      throw new IllegalArgumentException(
          where
              + (held == null
                  ? "the plan gives this rank no rows, but it brought " + input
                  : "the plan wants " + held.bufferRows() + " rows of this rank, it brought none"));
    }
    long rows = held.bufferRows();
    long columns = held.features().size();
    if (input.rank() != 2 || input.dim(0) != rows || input.dim(1) != columns) {
      throw new IllegalArgumentException(
          where + "wanted rows [" + rows + "," + columns + "], got " + input);
    }
    if (input.dtype() != dtype || !input.isContiguous()) {
      throw new IllegalArgumentException(
          where + "wanted contiguous " + dtype + " rows, got " + input);
    }
  }
}
