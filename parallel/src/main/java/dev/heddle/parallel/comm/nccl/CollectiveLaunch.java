package dev.heddle.parallel.comm.nccl;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Turns one member's call of a collective into calls of NCCL. What every member decides here it
 * decides by what all members see alike: kind, dtype, reduction, and the sizes of all parts; never
 * by how its own arrays lie in memory, because then members would make different calls.
 *
 * <p>Parts of one size go by NCCL's own all-gather and reduce-scatter. Parts of several sizes go by
 * grouped messages, and their reduction by a group of reductions with one root each.
 *
 * <p>NCCL's maximum of a floating-point number and NaN is the number, ours is NaN. So these maxima
 * and minima are gathered and formed by our kernels; they are taken of small arrays, such as the
 * largest logit of each row.
 */
final class CollectiveLaunch {
  private final NcclOperation operation;
  private final CollectiveArguments call;
  private final Packing packing;
  private final int size;
  private final int me;

  CollectiveLaunch(NcclOperation operation, int size, int me) {
    this.operation = operation;
    this.call = operation.arguments();
    this.packing = new Packing(operation);
    this.size = size;
    this.me = me;
  }

  /** A collective of a group of one: what there is to move is this rank's own. */
  void runAlone() {
    switch (call.kind()) {
      case ALL_GATHER, GATHER -> packing.copy(call.theArray(), call.destinations().get(0));
      case SCATTER, REDUCE_SCATTER -> packing.copy(call.sources().get(0), call.theArray());
      case ALL_TO_ALL -> packing.copy(call.sources().get(0), call.destinations().get(0));
      default -> {}
    }
  }

  /** Packs, and launches the transfers; what is left to do comes with the operation's end. */
  void run(NativeCommunicator communicator, long timeoutNanos) {
    NativeCommunicator.Calls calls =
        switch (call.kind()) {
          case ALL_REDUCE ->
              reducesHere() ? gatherAndReduce(communicator) : allReduce(communicator);
          case REDUCE -> reducesHere() ? gatherAndReduceAtRoot(communicator) : reduce(communicator);
          case BROADCAST -> broadcast(communicator);
          case ALL_GATHER ->
              Packing.haveOneSize(call.destinations())
                  ? allGather(communicator)
                  : allGatherByMessages(communicator);
          case GATHER -> gather(communicator);
          case SCATTER -> scatter(communicator);
          case REDUCE_SCATTER -> {
            if (reducesHere()) {
              yield reduceScatterByMessages(communicator);
            }
            yield Packing.haveOneSize(call.sources())
                ? reduceScatter(communicator)
                : reduceScatterByReductions(communicator);
          }
          case ALL_TO_ALL -> allToAll(communicator);
          default -> throw new IllegalStateException(call.kind().label() + " moves no arrays");
        };
    if (isEmpty()) {
      return;
    }
    operation.add(communicator.launch(operation, timeoutNanos, calls));
  }

  /** Whether no member has anything to move, which all see alike. */
  private boolean isEmpty() {
    return switch (call.kind()) {
      case ALL_REDUCE, REDUCE, BROADCAST -> call.theArray().size() == 0;
      case ALL_GATHER -> elements(call.destinations()) == 0;
      case REDUCE_SCATTER -> elements(call.sources()) == 0;
      default -> false;
    };
  }

  private static long elements(List<NDArray> parts) {
    long elements = 0;
    for (int i = 0; i < parts.size(); i++) {
      elements += parts.get(i).size();
    }
    return elements;
  }

  private boolean reducesHere() {
    DType dtype = call.theArray().dtype();
    boolean floating = dtype == DType.F32 || dtype == DType.F64 || dtype == DType.BF16;
    return floating && call.theOp() != ReduceOp.SUM;
  }

  private static MemorySegment at(NDArray array) {
    return MemorySegment.ofAddress(array.address());
  }

  // ---- the same elements on every rank

  private NativeCommunicator.Calls allReduce(NativeCommunicator nccl) {
    NDArray flat = packing.inOut(call.theArray());
    return (communicator, stream) ->
        nccl.check(
            Nccl.ncclAllReduce(
                at(flat), at(flat), flat.size(), type(flat), op(), communicator, stream),
            "ncclAllReduce");
  }

  private NativeCommunicator.Calls reduce(NativeCommunicator nccl) {
    NDArray array = call.theArray();
    NDArray flat = me == call.root() ? packing.inOut(array) : packing.input(array);
    MemorySegment result = me == call.root() ? at(flat) : MemorySegment.NULL;
    return (communicator, stream) ->
        nccl.check(
            Nccl.ncclReduce(
                at(flat), result, flat.size(), type(flat), op(), call.root(), communicator, stream),
            "ncclReduce");
  }

  private NativeCommunicator.Calls broadcast(NativeCommunicator nccl) {
    NDArray array = call.theArray();
    NDArray flat = me == call.root() ? packing.input(array) : packing.output(array);
    return (communicator, stream) ->
        nccl.check(
            Nccl.ncclBroadcast(
                at(flat), at(flat), flat.size(), type(flat), call.root(), communicator, stream),
            "ncclBroadcast");
  }

  // ---- parts of one size

  private NativeCommunicator.Calls allGather(NativeCommunicator nccl) {
    NDArray part = packing.input(call.theArray());
    MemorySegment wholes = MemorySegment.ofAddress(packing.outputs(call.destinations()));
    return (communicator, stream) ->
        nccl.check(
            Nccl.ncclAllGather(at(part), wholes, part.size(), type(part), communicator, stream),
            "ncclAllGather");
  }

  private NativeCommunicator.Calls reduceScatter(NativeCommunicator nccl) {
    MemorySegment wholes = MemorySegment.ofAddress(packing.inputs(call.sources()));
    NDArray part = packing.output(call.theArray());
    return (communicator, stream) ->
        nccl.check(
            Nccl.ncclReduceScatter(
                wholes, at(part), part.size(), type(part), op(), communicator, stream),
            "ncclReduceScatter");
  }

  private NativeCommunicator.Calls reduceScatterByReductions(NativeCommunicator nccl) {
    List<NDArray> wholes = call.sources().stream().map(packing::input).toList();
    NDArray part = packing.output(call.theArray());
    return (communicator, stream) -> {
      for (int i = 0; i < size; i++) {
        NDArray whole = wholes.get(i);
        if (whole.size() > 0) {
          MemorySegment result = i == me ? at(part) : MemorySegment.NULL;
          int status =
              Nccl.ncclReduce(
                  at(whole), result, whole.size(), type(whole), op(), i, communicator, stream);
          nccl.check(status, "ncclReduce");
        }
      }
    };
  }

  // ---- parts of any size, by messages

  private NativeCommunicator.Calls allGatherByMessages(NativeCommunicator nccl) {
    NDArray part = call.theArray();
    NDArray flat = packing.input(part);
    packing.copy(part, call.destinations().get(me));
    List<NDArray> wholes = outputsOfOthers();
    return (communicator, stream) -> {
      for (int i = 0; i < size; i++) {
        if (i != me) {
          send(nccl, flat, i, communicator, stream);
          receive(nccl, wholes.get(i), i, communicator, stream);
        }
      }
    };
  }

  private List<NDArray> outputsOfOthers() {
    List<NDArray> destinations = call.destinations();
    NDArray[] outputs = new NDArray[size];
    for (int i = 0; i < size; i++) {
      outputs[i] = i == me ? destinations.get(i) : packing.output(destinations.get(i));
    }
    return List.of(outputs);
  }

  private List<NDArray> inputsOfOthers() {
    List<NDArray> sources = call.sources();
    NDArray[] inputs = new NDArray[size];
    for (int i = 0; i < size; i++) {
      inputs[i] = i == me ? sources.get(i) : packing.input(sources.get(i));
    }
    return List.of(inputs);
  }

  private NativeCommunicator.Calls gather(NativeCommunicator nccl) {
    NDArray part = call.theArray();
    if (me != call.root()) {
      NDArray flat = packing.input(part);
      return (communicator, stream) -> send(nccl, flat, call.root(), communicator, stream);
    }
    packing.copy(part, call.destinations().get(me));
    List<NDArray> wholes = outputsOfOthers();
    return (communicator, stream) -> {
      for (int i = 0; i < size; i++) {
        if (i != me) {
          receive(nccl, wholes.get(i), i, communicator, stream);
        }
      }
    };
  }

  private NativeCommunicator.Calls scatter(NativeCommunicator nccl) {
    NDArray part = call.theArray();
    if (me != call.root()) {
      NDArray flat = packing.output(part);
      return (communicator, stream) -> receive(nccl, flat, call.root(), communicator, stream);
    }
    packing.copy(call.sources().get(me), part);
    List<NDArray> wholes = inputsOfOthers();
    return (communicator, stream) -> {
      for (int i = 0; i < size; i++) {
        if (i != me) {
          send(nccl, wholes.get(i), i, communicator, stream);
        }
      }
    };
  }

  private NativeCommunicator.Calls allToAll(NativeCommunicator nccl) {
    packing.copy(call.sources().get(me), call.destinations().get(me));
    List<NDArray> outgoing = inputsOfOthers();
    List<NDArray> incoming = outputsOfOthers();
    return (communicator, stream) -> {
      for (int i = 0; i < size; i++) {
        if (i != me) {
          send(nccl, outgoing.get(i), i, communicator, stream);
          receive(nccl, incoming.get(i), i, communicator, stream);
        }
      }
    };
  }

  private static void send(
      NativeCommunicator nccl,
      NDArray flat,
      int to,
      MemorySegment communicator,
      MemorySegment stream) {
    if (flat.size() > 0) {
      int status = Nccl.ncclSend(at(flat), flat.size(), type(flat), to, communicator, stream);
      nccl.check(status, "ncclSend");
    }
  }

  private static void receive(
      NativeCommunicator nccl,
      NDArray flat,
      int from,
      MemorySegment communicator,
      MemorySegment stream) {
    if (flat.size() > 0) {
      int status = Nccl.ncclRecv(at(flat), flat.size(), type(flat), from, communicator, stream);
      nccl.check(status, "ncclRecv");
    }
  }

  // ---- maxima and minima, which our kernels form in member order

  private NativeCommunicator.Calls gatherAndReduce(NativeCommunicator nccl) {
    NDArray array = call.theArray();
    NDArray flat = packing.input(array);
    if (array.size() == 0) {
      return (communicator, stream) -> {};
    }
    NDArray rows = operation.scratch(array.dtype(), size, array.size());
    operation.whenDone(() -> packing.copy(reduced(rows), array));
    return (communicator, stream) ->
        nccl.check(
            Nccl.ncclAllGather(at(flat), at(rows), flat.size(), type(flat), communicator, stream),
            "ncclAllGather");
  }

  private NativeCommunicator.Calls gatherAndReduceAtRoot(NativeCommunicator nccl) {
    NDArray array = call.theArray();
    NDArray flat = packing.input(array);
    if (me != call.root()) {
      return (communicator, stream) -> send(nccl, flat, call.root(), communicator, stream);
    }
    return receiveRows(nccl, flat, array, List.of());
  }

  private NativeCommunicator.Calls reduceScatterByMessages(NativeCommunicator nccl) {
    List<NDArray> wholes = inputsOfOthers();
    return receiveRows(nccl, call.sources().get(me), call.theArray(), wholes);
  }

  /** Receives a row from each member, its own put in, and sends what goes to the others. */
  private NativeCommunicator.Calls receiveRows(
      NativeCommunicator nccl, NDArray own, NDArray result, List<NDArray> outgoing) {
    NDArray rows = operation.scratch(result.dtype(), size, result.size());
    if (result.size() > 0) {
      packing.copy(own, Packing.row(rows, me));
      operation.whenDone(() -> packing.copy(reduced(rows), result));
    }
    return (communicator, stream) -> {
      for (int i = 0; i < size; i++) {
        if (i != me) {
          if (!outgoing.isEmpty()) {
            send(nccl, outgoing.get(i), i, communicator, stream);
          }
          receive(nccl, Packing.row(rows, i), i, communicator, stream);
        }
      }
    };
  }

  /** The reduction of the rows, in the first of them. */
  private NDArray reduced(NDArray rows) {
    Kernels kernels = rows.kernels();
    boolean minimum = call.theOp() == ReduceOp.MIN;
    if (minimum) {
      kernels.unary(UnaryOperation.NEGATE, rows, rows);
    }
    NDArray first = Packing.row(rows, 0);
    for (int i = 1; i < size; i++) {
      kernels.binary(BinaryOperation.MAXIMUM, first, Packing.row(rows, i), first);
    }
    if (minimum) {
      kernels.unary(UnaryOperation.NEGATE, first, first);
    }
    return first;
  }

  private static int type(NDArray array) {
    return NcclLibrary.type(array.dtype());
  }

  private int op() {
    return NcclLibrary.op(call.theOp());
  }
}
