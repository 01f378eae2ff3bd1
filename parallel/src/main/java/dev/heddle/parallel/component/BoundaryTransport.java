package dev.heddle.parallel.component;

import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.component.RunningComponent.Work;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.redistribute.BoundaryExchange;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.runtime.NDArray;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * From one component's last stage to another's first. A rank of both sides begins with its send and
 * ends with its receive; a rank of one side does one of them.
 */
final class BoundaryTransport implements LinkTransport {
  /** How many plans are kept. */
  private static final int KEPT_PLANS = 64;

  private final BoundarySpec spec;
  private final @Nullable RunningComponent source;
  private final @Nullable RunningComponent destination;
  private final MicroBatchMemory memory;
  private final Communicator forwardGroup;
  private final Communicator backwardGroup;

  /** Rows of the step's microbatches. */
  private IntFunction<RowPlacement> rows;

  /** Both directions of one plan. */
  private record Executors(BoundaryExchange forward, BoundaryExchange backward) {}

  /** By rows, the ones not used for longest dropped: they may differ in every step. */
  private final Map<RowPlacement, Executors> executors =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<RowPlacement, Executors> eldest) {
          return size() > KEPT_PLANS;
        }
      };

  private record Crossing(int microBatch, Direction direction) {}

  private final Map<Crossing, BoundaryExchange.Pending> underWay = new HashMap<>();

  /** What came in, by microbatch: leaves of the destination's graph. */
  private final Map<Integer, Tensor> arrived = new HashMap<>();

  /**
   * The boundary's end on this rank.
   *
   * @param source the source component if this rank runs its last stage
   * @param destination the destination component if this rank runs its first stage
   * @param forwardGroup all ranks of either side, for rows
   * @param backwardGroup the same, for gradients: messages keep their order only within a group
   */
  BoundaryTransport(
      BoundarySpec spec,
      @Nullable RunningComponent source,
      @Nullable RunningComponent destination,
      MicroBatchMemory memory,
      Communicator forwardGroup,
      Communicator backwardGroup) {
    this.spec = spec;
    this.source = source;
    this.destination = destination;
    this.memory = memory;
    this.forwardGroup = forwardGroup;
    this.backwardGroup = backwardGroup;
    this.rows =
        microBatch -> {
          throw new IllegalStateException("boundary " + spec.name() + ": no step has begun");
        };
  }

  BoundarySpec spec() {
    return spec;
  }

  /** Sets the rows of the step that begins. */
  void begin(IntFunction<RowPlacement> rowsOfMicroBatch) {
    rows = rowsOfMicroBatch;
  }

  /** The rows that have arrived for a microbatch, or null. */
  @Nullable Tensor arrived(int microBatch) {
    return arrived.get(microBatch);
  }

  @Override
  public void send(int microBatch, Direction direction) {
    underWay.put(new Crossing(microBatch, direction), start(microBatch, direction));
  }

  private BoundaryExchange.Pending start(int microBatch, Direction direction) {
    if (direction == Direction.FORWARD) {
      NDArray sent = source == null ? null : rowsOf(source, microBatch);
      return executors(microBatch).forward.beginForward(sent, memory.device(), memory.dtype());
    }
    Tensor leaf = arrived.remove(microBatch);
    NDArray gradient =
        destination == null || leaf == null
            ? null
            : memory.hold(microBatch, leaf.gradientOrZeros());
    return executors(microBatch).backward.beginBackward(gradient, memory.device(), memory.dtype());
  }

  private Executors executors(int microBatch) {
    return executors.computeIfAbsent(
        rows.apply(microBatch),
        placement -> {
          BoundaryPlan plan = spec.plan().apply(placement);
          return new Executors(
              new BoundaryExchange(plan, forwardGroup), new BoundaryExchange(plan, backwardGroup));
        });
  }

  private NDArray rowsOf(RunningComponent component, int microBatch) {
    Tensor output = component.output(new Work(component.lastStage(), microBatch));
    NDArray rowsOrNone =
        output == null
            ? NDArray.empty(memory.device(), memory.dtype(), 0, spec.features())
            : output.value().contiguous();
    return memory.hold(microBatch, rowsOrNone);
  }

  @Override
  public void receive(int microBatch, Direction direction) {
    BoundaryExchange.Pending pending =
        underWay.computeIfAbsent(
            new Crossing(microBatch, direction), crossing -> start(microBatch, direction));
    NDArray came = pending.awaitRows();
    if (came == null) {
      return;
    }
    memory.hold(microBatch, came);
    if (direction == Direction.FORWARD) {
      if (destination != null) {
        arrived.put(microBatch, spec.gradients() ? Tensor.leaf(came) : Tensor.constant(came));
      }
    } else if (source != null) {
      source.addOutputGradient(new Work(source.lastStage(), microBatch), came);
    }
  }

  @Override
  public boolean isSent(int microBatch) {
    for (Direction direction : Direction.values()) {
      Crossing crossing = new Crossing(microBatch, direction);
      BoundaryExchange.Pending pending = underWay.get(crossing);
      if (pending != null) {
        if (!pending.isDone()) {
          return false;
        }
        pending.await();
        underWay.remove(crossing);
      }
    }
    return true;
  }

  @Override
  public void awaitSent() {
    underWay.values().forEach(BoundaryExchange.Pending::await);
    underWay.clear();
  }

  @Override
  public void forget(int microBatch) {
    arrived.remove(microBatch);
  }

  @Override
  public void clear() {
    for (BoundaryExchange.Pending pending : underWay.values()) {
      LinkTransport.settle(pending::isDone, pending::await);
    }
    underWay.clear();
    arrived.clear();
  }
}
