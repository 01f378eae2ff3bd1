package dev.heddle.parallel.component;

import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.component.RunningComponent.Work;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.PipelineGraph;
import dev.heddle.parallel.pipeline.PipelineGraph.StageLink;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * From one pipeline stage of a component to the next. Both are laid out alike, so each rank has one
 * partner; where that is the rank itself, nothing moves.
 */
final class StageTransport implements LinkTransport {
  private final StageLink link;
  private final RunningComponent component;
  private final MicroBatchMemory memory;
  private final Communicator forwardGroup;
  private final Communicator backwardGroup;
  private final int rank;
  private final PipelineGraph graph;
  private final Map<Integer, Handle> sending = new HashMap<>();

  /**
   * The link's end on this rank.
   *
   * @param forwardGroup all ranks of both stages, for activations
   * @param backwardGroup the same, for gradients: messages keep their order only within a group
   */
  StageTransport(
      PipelineGraph graph,
      StageLink link,
      RunningComponent component,
      MicroBatchMemory memory,
      Communicator forwardGroup,
      Communicator backwardGroup) {
    this.graph = graph;
    this.link = link;
    this.component = component;
    this.memory = memory;
    this.forwardGroup = forwardGroup;
    this.backwardGroup = backwardGroup;
    this.rank = forwardGroup.globalRank(forwardGroup.rank());
  }

  private Work before(int microBatch) {
    return new Work(link.stage(), microBatch);
  }

  private Work behind(int microBatch) {
    return new Work(link.stage() + 1, microBatch);
  }

  /** The partner's number in the group. */
  private int partner(Direction towards) {
    // Whom this rank hears from in one direction is whom it speaks to in the other.
    int partner = graph.sendersTo(rank, link, towards).getFirst();
    return forwardGroup.globalRanks().indexOf(partner);
  }

  @Override
  public void send(int microBatch, Direction direction) {
    if (direction == Direction.FORWARD) {
      Tensor output = component.output(before(microBatch));
      if (output != null) {
        NDArray value = output.value().contiguous();
        post(microBatch, direction, memory.hold(microBatch, value));
      }
    } else {
      Tensor arrived = component.takeHandedOn(behind(microBatch));
      if (arrived != null) {
        NDArray gradient = memory.hold(microBatch, arrived.gradientOrZeros());
        post(microBatch, direction, gradient);
      }
    }
  }

  private void post(int microBatch, Direction direction, NDArray value) {
    boolean forward = direction == Direction.FORWARD;
    int partner = partner(forward ? Direction.BACKWARD : Direction.FORWARD);
    if (partner == forwardGroup.rank()) {
      deliver(microBatch, direction, value);
      return;
    }
    Communicator group = forward ? forwardGroup : backwardGroup;
    Handle handle = group.exchange(List.of(Message.send(partner, value)));
    Handle earlier = sending.put(microBatch, handle);
    if (earlier != null) {
      sending.put(microBatch, new Both(earlier, handle));
    }
  }

  private record Both(Handle first, Handle second) implements Handle {
    @Override
    public void await() {
      first.await();
      second.await();
    }

    @Override
    public boolean isDone() {
      return first.isDone() && second.isDone();
    }
  }

  @Override
  public void receive(int microBatch, Direction direction) {
    boolean forward = direction == Direction.FORWARD;
    int partner = partner(direction);
    if (partner == forwardGroup.rank()) {
      return;
    }
    Shape shape;
    if (forward) {
      shape = component.inputShape(behind(microBatch));
    } else {
      Tensor output = component.output(before(microBatch));
      shape = output == null ? null : output.shape();
    }
    if (shape != null) {
      NDArray value = memory.make(microBatch, shape);
      Communicator group = forward ? forwardGroup : backwardGroup;
      group.exchange(List.of(Message.receive(partner, value))).await();
      deliver(microBatch, direction, value);
    }
  }

  private void deliver(int microBatch, Direction direction, NDArray value) {
    if (direction == Direction.FORWARD) {
      component.handOn(behind(microBatch), value);
    } else {
      component.addOutputGradient(before(microBatch), value, memory);
    }
  }

  @Override
  public void awaitSent(int microBatch) {
    Handle handle = sending.get(microBatch);
    if (handle != null) {
      handle.await();
      sending.remove(microBatch);
    }
  }

  @Override
  public void forget(int microBatch) {
    component.takeHandedOn(behind(microBatch));
  }

  @Override
  public void clear() {
    for (Handle handle : sending.values()) {
      LinkTransport.settle(
          () -> {
            boolean taken = handle.isDone();
            if (taken) {
              handle.await();
            }
            return taken;
          });
    }
    sending.clear();
  }
}
