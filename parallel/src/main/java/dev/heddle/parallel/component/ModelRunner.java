package dev.heddle.parallel.component;

import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.component.RunningComponent.Work;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.pipeline.Instruction;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.Receive;
import dev.heddle.parallel.pipeline.Instruction.ReduceGradients;
import dev.heddle.parallel.pipeline.Instruction.Release;
import dev.heddle.parallel.pipeline.Instruction.Send;
import dev.heddle.parallel.pipeline.Instruction.Step;
import dev.heddle.parallel.pipeline.Instruction.Transport;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph;
import dev.heddle.parallel.pipeline.PipelineGraph.Link;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import dev.heddle.parallel.pipeline.Schedule;
import dev.heddle.parallel.trace.TraceCategory;
import dev.heddle.parallel.trace.TraceRecorder;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
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

  private final ModelGraph graph;
  private final Map<String, ComponentOptimizer> optimizers;
  private final Map<String, ComponentProgram> programs;
  private final ModelUpdate update;
  private final MicroBatchMemory memory;
  private final Map<String, RunningComponent> running = new LinkedHashMap<>();
  private final Map<String, LinkTransport> links = new LinkedHashMap<>();
  private final List<Instruction> instructions;
  private final int[] microBatches;
  private final @Nullable TraceRecorder trace;
  private @Nullable StepRecorder recorder;

  /** For each instruction whether its component has no backward behind it on this rank. */
  private final boolean[] lastBackward;

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
    this.memory = new MicroBatchMemory(device, dtype);
    this.trace = TraceRecorder.of(world);
    int rank = world.globalRank(world.rank());
    PipelineGraph pipeline = schedule.graph();
    instructions = schedule.ranks().getOrDefault(rank, List.of());
    microBatches =
        instructions.stream()
            .mapToInt(ModelRunner::microBatch)
            .filter(microBatch -> microBatch >= 0)
            .distinct()
            .sorted()
            .toArray();
    lastBackward = lastBackward(instructions);
    for (Component component : graph.components()) {
      if (component.mesh().contains(rank)) {
        String name = component.name();
        optimizer(name);
        running.put(
            name,
            new RunningComponent(
                component,
                require(programs.get(name), name),
                rank,
                pipeline.hasBackward(name),
                component.equals(graph.sink())));
      }
    }
    this.programs = Map.copyOf(programs);
    update = new ModelUpdate(world, device, List.copyOf(programs.values()), optimizers, scaler);
    for (Link link : pipeline.links().values()) {
      List<Integer> members = pipeline.ranksOf(link);
      if (members.contains(rank)) {
        Function<String, Communicator> groups =
            use -> world.subgroup(link.name() + " " + use, members).orElseThrow();
        links.put(link.name(), transport(pipeline, link, rank, groups));
      }
    }
  }

  private LinkTransport transport(
      PipelineGraph pipeline, Link link, int rank, Function<String, Communicator> groups) {
    return switch (link) {
      case PipelineGraph.StageLink inside ->
          new StageTransport(
              pipeline,
              inside,
              running(inside.component()),
              memory,
              groups.apply("forward"),
              groups.apply("backward"));
      case PipelineGraph.BoundaryLink across ->
          new BoundaryTransport(
              graph.boundary(across.name()),
              at(pipeline, link.from(), rank),
              at(pipeline, link.to(), rank),
              memory,
              groups);
    };
  }

  /** The component whose stage {@code place} this rank runs, or null. */
  private @Nullable RunningComponent at(PipelineGraph pipeline, Place place, int rank) {
    return pipeline.component(place.component()).ranksOf(place.stage()).contains(rank)
        ? running.get(place.component())
        : null;
  }

  private static int microBatch(Instruction instruction) {
    return switch (instruction) {
      case Compute compute -> compute.microBatch();
      case Transport transport -> transport.microBatch();
      case Release release -> release.microBatch();
      case ReduceGradients reduce -> -1;
      case Step step -> -1;
    };
  }

  private static int stage(Instruction instruction) {
    return instruction instanceof Compute compute ? compute.stage() : TraceRecorder.NONE;
  }

  private static boolean[] lastBackward(List<Instruction> instructions) {
    boolean[] last = new boolean[instructions.size()];
    Set<String> later = new HashSet<>();
    for (int i = last.length - 1; i >= 0; i--) {
      last[i] =
          switch (instructions.get(i)) {
            case Backward backward -> !backward.inputsOnly() && later.add(backward.component());
            case WeightGradients weights -> later.add(weights.component());
            default -> false;
          };
    }
    return last;
  }

  private static <T> T require(@Nullable T value, String component) {
    if (value == null) {
      throw new IllegalArgumentException(
          "model runner: this rank runs component " + component + " but was given none");
    }
    return value;
  }

  /**
   * Has steps recorded and repeated from now on.
   *
   * @param steps of this rank's device; world, programs and optimizers were made with its {@link
   *     StepRecorder#communicator}
   * @throws IllegalArgumentException if a program cannot be recorded
   */
  public void recordSteps(StepRecorder steps) {
    programs.forEach(
        (name, program) -> {
          if (!program.fixInputs()) {
            throw new IllegalArgumentException(
                "model runner: steps cannot be recorded, since the program of component "
                    + name
                    + " does not support it; implement ComponentProgram.fixInputs");
          }
        });
    recorder = steps;
  }

  /**
   * One training step: forward, backward, reduction, update. All ranks call it together, with their
   * programs' samples staged.
   *
   * @param numbers the step's learning rates and clipping
   * @return what it came to, the same on every rank
   */
  public StepResult step(Rows rows, Update numbers) {
    return begin(rows, numbers).await();
  }

  /**
   * Gives the devices one training step and returns, where devices compute on their own, without
   * waiting for it: the next step may be begun before this one is awaited. All ranks call it
   * together, with their programs' samples staged.
   *
   * @param numbers the step's learning rates and clipping
   */
  public PendingStep begin(Rows rows, Update numbers) {
    for (LinkTransport link : links.values()) {
      if (link instanceof BoundaryTransport boundary) {
        boundary.begin(microBatch -> rows.of(boundary.spec().name(), microBatch));
      }
    }
    boolean begun = false;
    try {
      update.begin(numbers, validTokens());
      StepRecorder steps = recorder;
      if (steps == null) {
        run();
      } else {
        steps.run(shapeOfStep(rows), this::run);
      }
      PendingStep pending = update.pending();
      begun = true;
      return pending;
    } finally {
      if (!begun) {
        update.clear();
      }
    }
  }

  /** What a recorded step depends on, all programs and boundaries together. */
  private Object shapeOfStep(Rows rows) {
    List<Object> shape = new ArrayList<>();
    programs.values().forEach(program -> shape.add(program.shapeOfStep()));
    for (LinkTransport link : links.values()) {
      if (link instanceof BoundaryTransport boundary) {
        for (int microBatch : microBatches) {
          shape.add(rows.of(boundary.spec().name(), microBatch));
        }
      }
    }
    return shape;
  }

  /** The instruction list, once. */
  private void run() {
    StepNumbers sums = update.numbers();
    boolean stepped = false;
    try (MemoryScope step = MemoryScope.open()) {
      for (int i = 0; i < lastBackward.length; i++) {
        Instruction instruction = instructions.get(i);
        if (trace != null) {
          trace.begin(
              instruction, TraceCategory.COMPUTE, stage(instruction), microBatch(instruction));
        }
        switch (instruction) {
          case Forward forward -> forward(forward, sums);
          case Backward backward -> backward(backward, lastBackward[i]);
          case WeightGradients weights -> weightGradients(weights, lastBackward[i]);
          case Send send -> link(send.link()).send(send.microBatch(), send.direction());
          case Receive receive ->
              link(receive.link()).receive(receive.microBatch(), receive.direction());
          case Release release -> giveBack(release.microBatch(), step);
          case ReduceGradients reduce -> optimizer(reduce.component()).reduce();
          case Step unused -> {
            update.step();
            stepped = true;
          }
        }
        if (trace != null) {
          trace.end();
        }
      }
      if (!stepped) {
        // A rank that runs no component still owes its part of the agreement.
        update.step();
      }
    } finally {
      forget();
    }
  }

  /** Forgets what a step has left, also one that ended early. */
  private void forget() {
    memory.clear();
    running.values().forEach(RunningComponent::clear);
    links.values().forEach(LinkTransport::clear);
  }

  /** Gives back the memory of a microbatch that is done, when its messages have been taken. */
  private void giveBack(int microBatch, MemoryScope step) {
    links.values().forEach(link -> link.awaitSent(microBatch));
    links.values().forEach(link -> link.forget(microBatch));
    running.values().forEach(component -> component.forget(microBatch));
    memory.giveBack(microBatch, step);
  }

  private RunningComponent running(String name) {
    return require(running.get(name), name);
  }

  private ComponentOptimizer optimizer(String component) {
    return require(optimizers.get(component), component);
  }

  private LinkTransport link(String name) {
    LinkTransport link = links.get(name);
    if (link == null) {
      throw new IllegalStateException("model runner: this rank stands on no link " + name);
    }
    return link;
  }

  /** Runs a stage forward; {@code sums} gets this rank's contribution to the losses. */
  private void forward(Forward forward, StepNumbers sums) {
    RunningComponent component = running(forward.component());
    Work work = new Work(forward.stage(), forward.microBatch());
    Map<String, Tensor> incoming = new LinkedHashMap<>();
    if (forward.stage() == 0) {
      for (LinkTransport link : links.values()) {
        if (link instanceof BoundaryTransport boundary
            && boundary.spec().destination().equals(forward.component())) {
          Tensor arrived = boundary.arrived(forward.microBatch());
          if (arrived != null) {
            incoming.put(boundary.spec().source(), arrived);
          }
        }
      }
    }
    Tensor output;
    try (MemoryScope inside = MemoryScope.temporaries()) {
      output = component.forward(work, incoming);
      if (output == null) {
        return;
      }
      inside.keep(output);
    }
    memory.hold(forward.microBatch(), output.value());
    if (component.reportsLoss(forward.stage())) {
      sums.loss(output.value());
    }
  }

  private void backward(Backward backward, boolean last) {
    RunningComponent component = running(backward.component());
    Work work = new Work(backward.stage(), backward.microBatch());
    if (last) {
      optimizer(backward.component()).lastBackward(component.parameters());
    }
    Tensor output = component.takeOutput(work);
    NDArray gradient = component.takeOutputGradient(work);
    if (output == null || !output.requiresGradient()) {
      return;
    }
    if (component.isLoss(backward.stage())) {
      gradient =
          memory.hold(
              backward.microBatch(),
              NDArray.empty(memory.device(), output.dtype(), output.shape()));
      NDArray scale = update.lossScale();
      scale.kernels().copy(scale.reshape(output.shape()), gradient);
    }
    if (gradient == null) {
      return;
    }
    if (backward.inputsOnly()) {
      component.defer(work, output.backwardInputs(gradient, component.takeLeaves(work)));
    } else {
      output.backward(gradient);
    }
  }

  private void weightGradients(WeightGradients weights, boolean last) {
    RunningComponent component = running(weights.component());
    if (last) {
      optimizer(weights.component()).lastBackward(component.parameters());
    }
    component.runDeferred(new Work(weights.stage(), weights.microBatch()));
  }

  private long validTokens() {
    return running.values().stream().mapToLong(RunningComponent::validTokens).sum();
  }
}
