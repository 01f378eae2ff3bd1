package dev.heddle.train.run;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.BoundarySpec;
import dev.heddle.parallel.component.Component;
import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import dev.heddle.parallel.pipeline.ScheduleTimeline.Span;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.PlanBuffer;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.model.CaptionModel;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Predicts how much memory a rank needs, without any: the rank's own programs and optimizers are
 * made on the meta device, each stage runs forward and back once on its share of the first
 * microbatch, and the bytes are counted. What of it is alive together follows from the schedule.
 *
 * <p>Not counted: what a communicator keeps, and messages that have not been taken yet.
 */
final class MemoryForecast {
  private final RunConfig config;
  private final TrainingData data;
  private final Map<String, BoundaryPlan> boundaries;
  private final DType dtype;
  private final BlankSamples blank;
  private final List<Sample> samples;
  private final List<Integer> ranks;

  /**
   * The memory of one rank in bytes. The last three are what they are when all together is most.
   *
   * @param parameters the parameters of all its components
   * @param gradients their gradients, of those that are trained
   * @param optimizer the moments and, for narrow types, exact copies of what it updates
   * @param activations what graphs keep of the microbatches under way
   * @param buffers what enters and leaves the stages of microbatches under way
   * @param working what the computation at hand needs besides
   */
  record RankMemory(
      long parameters,
      long gradients,
      long optimizer,
      long activations,
      long buffers,
      long working) {
    /** The most that is alive at a time. */
    long peak() {
      return parameters + gradients + optimizer + activations + buffers + working;
    }
  }

  /** One stage's microbatch: what is kept, what goes in and out, what the work needs besides. */
  private record StageMemory(long graph, long buffers, long forward, long backward) {}

  /**
   * A forecast.
   *
   * @param boundaries the plans of the first microbatch, by name
   */
  MemoryForecast(RunConfig config, TrainingData data, Map<String, BoundaryPlan> boundaries) {
    this.config = config;
    this.data = data;
    this.boundaries = boundaries;
    this.dtype = DTypes.of(config.dtype());
    StepPlan plan = new StepPlan(config, data);
    this.blank = new BlankSamples(config, data, plan);
    this.samples = plan.samples(1, 0);
    this.ranks = IntStream.range(0, config.parallel().ranks()).boxed().toList();
  }

  /** The parameters that a rank holds of a component, in numbers. */
  long parameters(String component, int rank) {
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      return programs(meta, rank).entrySet().stream()
          .filter(entry -> entry.getKey().equals(component))
          .flatMap(entry -> entry.getValue().parameters().stream())
          .mapToLong(parameter -> parameter.tensor().shape().size())
          .sum();
    }
  }

  /** The memory of a rank that computes {@code spans} in a step. */
  RankMemory of(int rank, List<Span> spans) {
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      ModelGraph graph = data.graph();
      Map<String, ComponentProgram> programs = programs(meta, rank);
      long parameters = meta.memory().liveBytes();
      Map<String, ComponentOptimizer> optimizers =
          RankTrainer.optimizers(config, PaperGroup.world(ranks, rank), graph, programs);
      long state = 0;
      long gradients = 0;
      for (ComponentOptimizer optimizer : optimizers.values()) {
        state += optimizer.adamW().stateBytes();
        for (Parameter parameter : optimizer.parameters()) {
          NDArray gradient = parameter.tensor().gradientOrZeros();
          gradients += gradient.size() * gradient.dtype().byteSize();
        }
      }
      Map<Place, StageMemory> stages = new HashMap<>();
      programs.forEach(
          (name, program) -> {
            blank.stage(program, name, rank, List.of(samples));
            Component component = graph.component(name);
            int pipeline = component.mesh().size(Axis.PP);
            int first = component.mesh().coordinate(rank, Axis.PP);
            for (int at = first; at < component.stages().size(); at += pipeline) {
              stages.put(new Place(name, at), measure(meta, program, component, at, rank));
            }
          });
      return atMost(spans, stages, parameters, gradients, state);
    }
  }

  private Map<String, ComponentProgram> programs(MetaDevice meta, int rank) {
    return CaptionModel.programs(
        config.model(),
        config.parallel(),
        data.tokenizer().vocabularySize(),
        data.graph(),
        PaperGroup.world(ranks, rank),
        meta,
        dtype,
        config.seed());
  }

  private StageMemory measure(
      MetaDevice meta, ComponentProgram program, Component component, int stage, int rank) {
    ModelGraph graph = data.graph();
    boolean back = graph.needsBackward(component.name());
    try (MemoryScope step = MemoryScope.open()) {
      long empty = meta.memory().liveBytes();
      Map<String, Tensor> incoming = new LinkedHashMap<>();
      if (stage == 0) {
        for (BoundarySpec boundary : graph.boundaries()) {
          if (boundary.destination().equals(component.name())) {
            incoming.put(boundary.source(), arrived(meta, boundary, rank));
          }
        }
      }
      Tensor previous = previous(meta, program, stage, back);
      long before = meta.memory().liveBytes();
      meta.memory().resetPeak();
      Tensor output = forward(program, stage, incoming, previous, back);
      if (output == null) {
        return new StageMemory(0, 0, 0, 0);
      }
      long kept = meta.memory().liveBytes() - before;
      long forward = meta.memory().peakLiveBytes() - before;
      long outputBytes = output.shape().size() * output.dtype().byteSize();
      long backward = 0;
      if (back && output.requiresGradient()) {
        NDArray gradient = NDArray.empty(meta, output.dtype(), output.shape());
        meta.memory().resetPeak();
        output.backward(gradient);
        backward = meta.memory().peakLiveBytes() - before - kept;
      }
      long graphBytes = back ? Math.max(0, kept - outputBytes) : 0;
      return new StageMemory(
          graphBytes, before - empty + outputBytes, Math.max(0, forward - kept), backward);
    }
  }

  private static @Nullable Tensor forward(
      ComponentProgram program,
      int stage,
      Map<String, Tensor> incoming,
      @Nullable Tensor previous,
      boolean back) {
    if (back) {
      return forward(program, stage, incoming, previous);
    }
    try (GradientMode off = GradientMode.noGrad()) {
      return forward(program, stage, incoming, previous);
    }
  }

  private static @Nullable Tensor forward(
      ComponentProgram program,
      int stage,
      Map<String, Tensor> incoming,
      @Nullable Tensor previous) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor output =
          program instanceof StagedProgram staged
              ? staged.forward(stage, 0, incoming, previous)
              : program.forward(0, incoming);
      return output == null ? null : inside.keep(output);
    }
  }

  /** What the stage before hands on, if there is one and this rank has a sample. */
  private @Nullable Tensor previous(
      MetaDevice meta, ComponentProgram program, int stage, boolean back) {
    Shape shape = program instanceof StagedProgram staged ? staged.inputShape(stage, 0) : null;
    if (shape == null) {
      return null;
    }
    NDArray value = NDArray.empty(meta, dtype, shape);
    return back ? Tensor.leaf(value) : Tensor.constant(value);
  }

  private Tensor arrived(MetaDevice meta, BoundarySpec boundary, int rank) {
    BoundaryPlan crossing = Objects.requireNonNull(boundaries.get(boundary.name()));
    Holding holding = crossing.forward().buffer(PlanBuffer.OUTPUT).of(rank);
    NDArray rows = NDArray.empty(meta, dtype, holding.bufferRows(), boundary.features());
    return boundary.gradients() ? Tensor.leaf(rows) : Tensor.constant(rows);
  }

  /** Walks the rank's step; buffers are given back with the last work on their microbatch. */
  private RankMemory atMost(
      List<Span> spans,
      Map<Place, StageMemory> stages,
      long parameters,
      long gradients,
      long state) {
    Map<Integer, Compute> lastOf = new HashMap<>();
    spans.forEach(span -> lastOf.put(span.what().microBatch(), span.what()));
    Map<Integer, Long> buffersOf = new HashMap<>();
    RankMemory most = new RankMemory(parameters, gradients, state, 0, 0, 0);
    long graphs = 0;
    for (Span span : spans) {
      Compute what = span.what();
      StageMemory stage =
          Objects.requireNonNull(stages.get(new Place(what.component(), what.stage())));
      if (!(what instanceof WeightGradients)) {
        buffersOf.merge(what.microBatch(), stage.buffers, Long::sum);
      }
      graphs += what instanceof Forward ? stage.graph : 0;
      long buffers = buffersOf.values().stream().mapToLong(Long::longValue).sum();
      long working = what instanceof Forward ? stage.forward : stage.backward;
      RankMemory now = new RankMemory(parameters, gradients, state, graphs, buffers, working);
      most = now.peak() > most.peak() ? now : most;
      boolean done =
          what instanceof WeightGradients
              || what instanceof Backward backward && !backward.inputsOnly();
      graphs -= done ? stage.graph : 0;
      if (what.equals(lastOf.get(what.microBatch()))) {
        buffersOf.remove(what.microBatch());
      }
    }
    return most;
  }
}
