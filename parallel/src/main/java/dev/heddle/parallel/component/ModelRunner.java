package dev.heddle.parallel.component;

import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.Schedule;
import dev.heddle.parallel.redistribute.BoundaryExchange;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * One rank of a training run: walks this rank's instruction list, moves rows and gradients across
 * the boundaries, reduces gradients, and steps the optimizer. Every rank of the world has one, and
 * all call {@link #step} together, also ranks that had no sample.
 */
public final class ModelRunner {
  /** The rows of a microbatch that cross each boundary; the same on every rank. */
  @FunctionalInterface
  public interface Rows {
    /**
     * How many rows each sample of the microbatch sends across the boundary, and where they stand
     * in the destination's sequences if that matters to the boundary's plan.
     */
    RowPlacement of(String boundary, int microBatch);
  }

  /**
   * How to update.
   *
   * @param learningRate this step's learning rate of each component, by name
   * @param clipNorm the largest gradient norm; larger ones are scaled down to it; infinite for none
   */
  public record Update(ToDoubleFunction<String> learningRate, double clipNorm) {
    /** One learning rate for all components. */
    public Update(double learningRate, double clipNorm) {
      this(component -> learningRate, clipNorm);
    }
  }

  /** How many plans of a boundary are kept. */
  private static final int KEPT_PLANS = 64;

  private final ModelGraph graph;
  private final Map<String, ComponentOptimizer> optimizers;
  private final ModelUpdate update;
  private final Device device;
  private final DType dtype;
  private final Map<String, Hosted> hosted = new LinkedHashMap<>();
  private final Map<String, Crossing> crossings = new LinkedHashMap<>();
  private final List<Instruction> instructions;

  /** For each instruction the microbatch that is done with it on this rank, or -1. */
  private final int[] finished;

  /** What the microbatches under way hold beside their graphs. */
  private final Map<Integer, List<NDArray>> held = new HashMap<>();

  /** A component that this rank runs. */
  private static final class Hosted {
    final Component component;
    final ComponentProgram program;
    final boolean firstTensorRank;

    /** Outputs of the microbatches that have gone forward and not yet back. */
    final Map<Integer, Tensor> outputs = new HashMap<>();

    /** Gradients of these outputs that boundaries have brought back. */
    final Map<Integer, NDArray> outputGradients = new HashMap<>();

    Hosted(Component component, ComponentProgram program, int rank) {
      this.component = component;
      this.program = program;
      firstTensorRank = component.mesh().coordinate(rank, Axis.TP) == 0;
    }
  }

  /** A boundary that this rank stands on. */
  private static final class Crossing {
    final BoundarySpec spec;
    final Communicator group;

    /** By rows, the ones not used for longest dropped: they may differ in every step. */
    final Map<RowPlacement, BoundaryExchange> exchanges =
        new LinkedHashMap<>(16, 0.75f, true) {
          private static final long serialVersionUID = 1L;

          @Override
          protected boolean removeEldestEntry(Map.Entry<RowPlacement, BoundaryExchange> eldest) {
            return size() > KEPT_PLANS;
          }
        };

    /** What came in, by microbatch: leaves of the destination's graph. */
    final Map<Integer, Tensor> arrived = new HashMap<>();

    Crossing(BoundarySpec spec, Communicator group) {
      this.spec = spec;
      this.group = group;
    }

    BoundaryExchange exchange(RowPlacement rows) {
      return exchanges.computeIfAbsent(
          rows, key -> new BoundaryExchange(spec.plan().apply(key), group));
    }
  }

  /**
   * The runner of this rank.
   *
   * @param world all ranks of the run
   * @param graph the model
   * @param schedule what every rank does in a step, checked
   * @param programs the programs of the components that this rank runs, by name
   * @param optimizers their optimizers; parameters that an optimizer was not given stay as they
   *     are, and their gradients are neither reduced nor counted in the norm
   * @param scaler what the gradient of the loss is multiplied by; every rank's is made alike
   */
  public ModelRunner(
      Communicator world,
      ModelGraph graph,
      Schedule schedule,
      Device device,
      DType dtype,
      Map<String, ? extends ComponentProgram> programs,
      Map<String, ComponentOptimizer> optimizers,
      LossScaler scaler) {
    this.graph = graph;
    this.optimizers = optimizers;
    this.device = device;
    this.dtype = dtype;
    int rank = world.globalRank(world.rank());
    instructions = schedule.ranks().getOrDefault(rank, List.of());
    finished = finished(instructions);
    for (Component component : graph.components()) {
      Mesh mesh = component.mesh();
      if (mesh.contains(rank)) {
        require(optimizers.get(component.name()), component.name());
        hosted.put(
            component.name(),
            new Hosted(component, require(programs.get(component.name()), component.name()), rank));
      }
    }
    update = new ModelUpdate(world, List.copyOf(programs.values()), optimizers, scaler);
    for (BoundarySpec boundary : graph.boundaries()) {
      List<Integer> members = schedule.meeting().getOrDefault(boundary.name(), List.of());
      if (members.contains(rank)) {
        world
            .subgroup(boundary.name(), members)
            .ifPresent(group -> crossings.put(boundary.name(), new Crossing(boundary, group)));
      }
    }
  }

  private static int[] finished(List<Instruction> instructions) {
    int[] finished = new int[instructions.size()];
    Set<Integer> later = new HashSet<>();
    for (int i = finished.length - 1; i >= 0; i--) {
      int microBatch =
          switch (instructions.get(i)) {
            case Instruction.Forward forward -> forward.microBatch();
            case Instruction.Backward backward -> backward.microBatch();
            case Instruction.Exchange exchange -> exchange.microBatch();
            case Instruction.ReduceGradients unused -> -1;
            case Instruction.Step unused -> -1;
          };
      finished[i] = microBatch >= 0 && later.add(microBatch) ? microBatch : -1;
    }
    return finished;
  }

  private static <T> T require(@Nullable T value, String component) {
    if (value == null) {
      throw new IllegalArgumentException(
          "model runner: this rank runs component " + component + " but was given none");
    }
    return value;
  }

  /**
   * One training step: forward, backward, reduction, update. All ranks call it together, with their
   * programs' samples staged.
   *
   * @param numbers the step's learning rates and clipping
   * @return what it came to, the same on every rank
   */
  public StepResult step(Rows rows, Update numbers) {
    double lossSum = 0;
    StepResult result = null;
    try (MemoryScope step = MemoryScope.open()) {
      for (int i = 0; i < finished.length; i++) {
        switch (instructions.get(i)) {
          case Instruction.Forward forward -> lossSum += forward(forward);
          case Instruction.Backward backward -> backward(backward);
          case Instruction.Exchange exchange -> exchange(exchange, rows);
          case Instruction.ReduceGradients reduce ->
              require(optimizers.get(reduce.component()), reduce.component()).reduce();
          case Instruction.Step unused -> result = update.step(lossSum, validTokens(), numbers);
        }
        if (finished[i] >= 0) {
          giveBack(finished[i], step);
        }
      }
    } finally {
      held.clear();
      for (Hosted component : hosted.values()) {
        component.outputs.clear();
        component.outputGradients.clear();
      }
      crossings.values().forEach(crossing -> crossing.arrived.clear());
    }
    // A rank that runs no component still owes its part of the agreement.
    return result == null ? update.step(0, 0, numbers) : result;
  }

  private void hold(int microBatch, NDArray array) {
    held.computeIfAbsent(microBatch, key -> new ArrayList<>()).add(array);
  }

  /** So the memory of a step does not grow with its microbatches. */
  private void giveBack(int microBatch, MemoryScope step) {
    // The same memory may be there by several names, where nothing had to move at a boundary; and
    // what a program handed through, such as a parameter, is not the step's to give back.
    Map<Block, NDArray> blocks = new IdentityHashMap<>();
    for (NDArray array : held.getOrDefault(microBatch, List.of())) {
      if (step.owns(array)) {
        blocks.put(array.block(), array);
      }
    }
    held.remove(microBatch);
    blocks.values().forEach(NDArray::free);
  }

  private Hosted hosted(String name) {
    return require(hosted.get(name), name);
  }

  /** Runs a component forward; returns this rank's contribution to the sum of the losses. */
  private double forward(Instruction.Forward forward) {
    Hosted component = hosted(forward.component());
    Map<String, Tensor> incoming = new LinkedHashMap<>();
    for (Crossing crossing : crossings.values()) {
      Tensor arrived = crossing.arrived.get(forward.microBatch());
      if (arrived != null && crossing.spec.destination().equals(forward.component())) {
        incoming.put(crossing.spec.source(), arrived);
      }
    }
    Tensor output;
    try (MemoryScope inside = MemoryScope.temporaries()) {
      output = component.program.forward(forward.microBatch(), incoming);
      if (output == null) {
        return 0;
      }
      inside.keep(output);
    }
    hold(forward.microBatch(), output.value());
    component.outputs.put(forward.microBatch(), output);
    boolean isLoss = component.component.equals(graph.sink());
    return isLoss && component.firstTensorRank ? output.item() : 0;
  }

  private void backward(Instruction.Backward backward) {
    Hosted component = hosted(backward.component());
    Tensor output = component.outputs.remove(backward.microBatch());
    NDArray gradient = component.outputGradients.remove(backward.microBatch());
    if (output == null || !output.requiresGradient()) {
      return;
    }
    if (component.component.equals(graph.sink())) {
      try (MemoryScope inside = MemoryScope.open()) {
        output.backward(NDArray.full(device, output.dtype(), output.shape(), update.lossScale()));
      }
    } else if (gradient != null) {
      output.backward(gradient);
    }
  }

  private void exchange(Instruction.Exchange instruction, Rows rows) {
    Crossing crossing = require(crossings.get(instruction.boundary()), instruction.boundary());
    BoundarySpec spec = crossing.spec;
    int microBatch = instruction.microBatch();
    BoundaryExchange exchange = crossing.exchange(rows.of(instruction.boundary(), microBatch));
    Hosted source = hosted.get(spec.source());
    boolean isDestination = hosted.containsKey(spec.destination());
    if (instruction.direction() == Direction.FORWARD) {
      Tensor output = source == null ? null : source.outputs.get(microBatch);
      NDArray sent = source == null ? null : rowsOrNone(output, spec.features());
      if (sent != null) {
        hold(microBatch, sent);
      }
      NDArray arrived = exchange.forward(sent, device, dtype);
      if (arrived != null) {
        hold(microBatch, arrived);
      }
      if (isDestination && arrived != null) {
        crossing.arrived.put(
            microBatch, spec.gradients() ? Tensor.leaf(arrived) : Tensor.constant(arrived));
      }
    } else {
      Tensor arrived = crossing.arrived.remove(microBatch);
      NDArray gradient = isDestination && arrived != null ? arrived.gradientOrZeros() : null;
      if (gradient != null) {
        hold(microBatch, gradient);
      }
      NDArray back = exchange.backward(gradient, device, dtype);
      if (back != null) {
        hold(microBatch, back);
      }
      if (source != null && back != null) {
        NDArray before = source.outputGradients.get(microBatch);
        if (before == null) {
          source.outputGradients.put(microBatch, back);
        } else {
          // An output that leaves by several boundaries gets the sum of their gradients.
          before.kernels().addScaled(back, 1, before);
        }
      }
    }
  }

  private NDArray rowsOrNone(@Nullable Tensor output, long features) {
    return output == null ? NDArray.empty(device, dtype, 0, features) : output.value().contiguous();
  }

  private long validTokens() {
    return hosted.values().stream()
        .filter(component -> component.firstTensorRank)
        .mapToLong(component -> component.program.validTokens())
        .sum();
  }
}
