package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;

/**
 * Compares what ranks of several processes call, which NCCL does not: every operation on GPUs is
 * called a second time on the control communicator, with arrays that have shapes and no bytes. So a
 * few dozen bytes go between ranks, nobody waits for them, and what does not fit, who does not come
 * and who has ended is found and told as by that communicator.
 *
 * <p>{@code -Dheddle.nccl.checks=off}, on all ranks, leaves it out: a member of a group of n sends
 * n - 1 such messages for a collective.
 */
final class CallCheck {
  private final Communicator control;
  private final MetaDevice shapes;

  /** Compares calls of the group that {@code control} is. */
  CallCheck(Communicator control, MetaDevice shapes) {
    this.control = control;
    this.shapes = shapes;
  }

  /** Whether calls are compared in this process. */
  static boolean isOn() {
    return !"off".equals(System.getProperty("heddle.nccl.checks"));
  }

  /** Begins to compare a collective of arrays. */
  @SuppressWarnings("try") // the scope gives the arrays up, which the call retains
  Handle post(CollectiveArguments call) {
    try (MemoryScope scope = MemoryScope.open()) {
      return switch (call.kind()) {
        case ALL_REDUCE -> control.allReduce(like(call.theArray()), call.theOp());
        case REDUCE -> control.reduce(like(call.theArray()), call.theOp(), call.root());
        case BROADCAST -> control.broadcast(like(call.theArray()), call.root());
        case ALL_GATHER -> control.allGather(like(call.theArray()), like(call.destinations()));
        case GATHER ->
            control.gather(like(call.theArray()), like(call.destinations()), call.root());
        case SCATTER -> control.scatter(like(call.sources()), like(call.theArray()), call.root());
        case REDUCE_SCATTER ->
            control.reduceScatter(like(call.sources()), like(call.theArray()), call.theOp());
        case ALL_TO_ALL -> control.allToAll(like(call.sources()), like(call.destinations()));
        default -> throw new IllegalStateException(call.kind().label() + " moves no arrays");
      };
    }
  }

  /** Begins to compare the messages between {@code member}, which this rank is, and others. */
  @SuppressWarnings("try") // the scope gives the arrays up, which the call retains
  Handle post(List<Message> messages, int member) {
    try (MemoryScope scope = MemoryScope.open()) {
      List<Message> compared = new ArrayList<>(messages.size());
      for (int i = 0; i < messages.size(); i++) {
        Message message = messages.get(i);
        if (message.peer() != member) {
          compared.add(like(message));
        }
      }
      return control.exchange(compared);
    }
  }

  private Message like(Message message) {
    NDArray array = like(message.array());
    long[] bounds = message.rowBounds();
    int peer = message.peer();
    if (bounds == null) {
      return message.isSend() ? Message.send(peer, array) : Message.receive(peer, array);
    }
    long first = message.firstColumn();
    long columns = message.columnCount();
    return message.isSend()
        ? Message.sendRows(peer, array, bounds, first, columns)
        : Message.receiveRows(peer, array, bounds, first, columns);
  }

  private List<NDArray> like(List<NDArray> arrays) {
    return arrays.stream().map(this::like).toList();
  }

  private NDArray like(NDArray array) {
    return NDArray.empty(shapes, array.dtype(), array.shape().toArray());
  }
}
