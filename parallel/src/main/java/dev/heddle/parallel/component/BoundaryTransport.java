package dev.heddle.parallel.component;

import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.component.RunningComponent.Work;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.redistribute.BoundaryExchange;
import dev.heddle.runtime.NDArray;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
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
  private final Function<String, Communicator> groups;

  /** Rows of the step's microbatches. */
  private IntFunction<RowPlacement> rows;

  /** By rows, the ones not used for longest dropped: they may differ in every step. */
  private final Map<RowPlacement, BoundaryExchange> exchanges =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<RowPlacement, BoundaryExchange> eldest) {
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
   * @param groups all ranks of either side, a group for each direction and phase; see {@link
   *     BoundaryExchange}
   */
  BoundaryTransport(
      BoundarySpec spec,
      @Nullable RunningComponent source,
      @Nullable RunningComponent destination,
      MicroBatchMemory memory,
      Function<String, Communicator> groups) {
    this.spec = spec;
    this.source = source;
    this.destination = destination;
    this.memory = memory;
    this.groups = groups;
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
    begin(new Crossing(microBatch, direction));
  }

  private BoundaryExchange.Pending begin(Crossing crossing) {
    int microBatch = crossing.microBatch;
    BoundaryExchange exchange =
        exchanges.computeIfAbsent(
            rows.apply(microBatch),
            placement -> new BoundaryExchange(spec.plan().apply(placement), groups));
    BoundaryExchange.Pending pending;
    if (crossing.direction == Direction.FORWARD) {
      NDArray sent = source == null ? null : rowsOf(source, microBatch);
      pending = exchange.beginForward(sent, memory.device(), memory.dtype());
    } else {
      Tensor leaf = arrived.remove(microBatch);
      NDArray gradient =
          destination == null || leaf == null
              ? null
              : memory.hold(microBatch, leaf.gradientOrZeros());
      pending = exchange.beginBackward(gradient, memory.device(), memory.dtype());
    }
    pending.buffers().forEach(buffer -> memory.hold(microBatch, buffer));
    underWay.put(crossing, pending);
    return pending;
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
    Crossing crossing = new Crossing(microBatch, direction);
    BoundaryExchange.Pending pending = underWay.get(crossing);
    NDArray came = (pending == null ? begin(crossing) : pending).awaitRows();
    if (came == null) {
      return;
    }
    memory.hold(microBatch, came);
    if (direction == Direction.FORWARD) {
      if (destination != null) {
        arrived.put(microBatch, spec.gradients() ? Tensor.leaf(came) : Tensor.constant(came));
      }
    } else if (source != null) {
      source.addOutputGradient(new Work(source.lastStage(), microBatch), came, memory);
    }
  }

  @Override
  public void awaitSent(int microBatch) {
    for (Direction direction : Direction.values()) {
      Crossing crossing = new Crossing(microBatch, direction);
      BoundaryExchange.Pending pending = underWay.get(crossing);
      if (pending != null) {
        pending.awaitSent();
        underWay.remove(crossing);
      }
    }
  }

  @Override
  public void forget(int microBatch) {
    arrived.remove(microBatch);
  }

  @Override
  public void clear() {
    for (BoundaryExchange.Pending pending : underWay.values()) {
      LinkTransport.settle(pending::isSent);
    }
    underWay.clear();
    arrived.clear();
  }
}
