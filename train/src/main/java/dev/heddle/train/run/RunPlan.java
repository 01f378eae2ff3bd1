package dev.heddle.train.run;

import dev.heddle.parallel.component.BoundarySpec;
import dev.heddle.parallel.component.Component;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction;
import dev.heddle.parallel.pipeline.PipelineGraph;
import dev.heddle.parallel.pipeline.Schedule;
import dev.heddle.parallel.pipeline.ScheduleTimeline;
import dev.heddle.parallel.pipeline.ScheduleTimeline.Span;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import dev.heddle.train.model.Stages;
import java.util.ArrayList;
import java.util.Collection;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.TreeMap;

/**
 * Everything that is known of a run before it runs: what each rank has, what crosses each boundary,
 * what each rank does when, and how much memory it needs. Making it proves the transfers and the
 * schedule; nothing is computed and no other rank is asked.
 *
 * @param config what is planned
 * @param graph the components on their meshes
 * @param components how each is divided
 * @param boundaries by name the transfers of the first microbatch, proved
 * @param timeline the step on paper, its schedule checked
 * @param encodersFirst how long the step takes on paper if all encoder work comes first and last;
 *     empty where no encoder shares ranks with the language model
 * @param classes ranks that do the same, by their first rank
 * @param steps what a step asks of the GPU of each class's first rank, by that rank; empty unless
 *     it was counted
 */
record RunPlan(
    RunConfig config,
    ModelGraph graph,
    List<ComponentPlan> components,
    Map<String, BoundaryPlan> boundaries,
    ScheduleTimeline timeline,
    OptionalLong encodersFirst,
    List<RankClass> classes,
    Map<Integer, RankStep> steps) {

  /**
   * A component.
   *
   * @param component its mesh and its stages' costs
   * @param placement how it is divided
   * @param frozen whether it is not trained
   * @param parameters how many the whole component has
   * @param pipeline what each pipeline coordinate has
   */
  record ComponentPlan(
      Component component,
      ParallelConfig.Placement placement,
      boolean frozen,
      long parameters,
      List<PipelinePart> pipeline) {}

  /**
   * What the ranks at one pipeline coordinate have of a component.
   *
   * @param ranks the ranks
   * @param blocks by stage its blocks
   * @param parameters how many parameters the first of these ranks has, which has the most
   */
  record PipelinePart(Mesh ranks, Map<Integer, Interval> blocks, long parameters) {}

  /**
   * Ranks that compute the same at the same time.
   *
   * @param ranks the ranks, ascending
   * @param spans what each of them computes when
   * @param peakLive by component the most microbatches of which it holds activations at a time
   * @param memory the memory of the first of them; where sizes do not divide others need less
   */
  record RankClass(
      List<Integer> ranks,
      List<Span> spans,
      Map<String, Integer> peakLive,
      MemoryForecast.RankMemory memory) {
    /** The first rank. */
    int first() {
      return ranks.getFirst();
    }
  }

  /**
   * Makes and proves a plan.
   *
   * @throws IllegalStateException if a boundary's transfers are wrong, naming the first element
   * @throws IllegalArgumentException if the schedule would not end, naming ranks and instructions
   */
  static RunPlan of(RunConfig config, TrainingData data) {
    ModelGraph graph = data.graph();
    Map<String, BoundaryPlan> boundaries = boundaries(config, data);
    boundaries.values().forEach(BoundaryPlan::verify);
    MemoryForecast forecast = new MemoryForecast(config, data, boundaries);
    PipelineGraph pipeline = graph.pipeline();
    int microBatches = config.train().microBatches();
    ScheduleTimeline timeline =
        ScheduleTimeline.of(Schedule.of(pipeline, config.parallel().schedule(), microBatches));
    OptionalLong first =
        Schedule.sharesRanks(pipeline)
            ? OptionalLong.of(
                ScheduleTimeline.of(
                        Schedule.encodersFirst(
                            pipeline, config.parallel().schedule(), microBatches))
                    .end())
            : OptionalLong.empty();
    Map<String, Long> parameters = new LayoutDescription(config, data).parameters();
    List<ComponentPlan> components = new ArrayList<>();
    for (Component component : graph.components()) {
      ParallelConfig.Placement placement =
          Objects.requireNonNull(config.parallel().placements().get(component.name()));
      components.add(
          new ComponentPlan(
              component,
              placement,
              graph.frozen().contains(component.name()),
              parameters.getOrDefault(component.name(), 0L),
              parts(config, component, placement, forecast)));
    }
    return new RunPlan(
        config,
        graph,
        components,
        boundaries,
        timeline,
        first,
        classes(graph, timeline, forecast),
        Map.of());
  }

  /** This plan with what a step asks of the GPU of each class's first rank, counted. */
  RunPlan withSteps(TrainingData data) {
    StepForecast forecast = new StepForecast(config, data, timeline.schedule());
    Map<Integer, RankStep> counted = new LinkedHashMap<>();
    for (RankClass ranks : classes) {
      counted.put(ranks.first(), forecast.of(ranks.first()));
    }
    return new RunPlan(
        config, graph, components, boundaries, timeline, encodersFirst, classes, counted);
  }

  /** The transfers of the first microbatch. */
  private static Map<String, BoundaryPlan> boundaries(RunConfig config, TrainingData data) {
    StepPlan steps = new StepPlan(config, data);
    FusedBatch batch = steps.batch(steps.samples(1, 0));
    Map<String, BoundaryPlan> plans = new LinkedHashMap<>();
    for (BoundarySpec boundary : data.graph().boundaries()) {
      plans.put(
          boundary.name(),
          boundary.plan().apply(CaptionModel.rows(config.parallel(), batch, boundary.source())));
    }
    return plans;
  }

  private static List<PipelinePart> parts(
      RunConfig config,
      Component component,
      ParallelConfig.Placement placement,
      MemoryForecast forecast) {
    List<PipelinePart> parts = new ArrayList<>();
    int layers = CaptionModel.blocks(config.model(), component.name());
    for (int coordinate = 0; coordinate < placement.pp(); coordinate++) {
      Mesh ranks = component.mesh().at(Axis.PP, coordinate);
      Stages stages = Stages.of(layers, placement, coordinate);
      Map<Integer, Interval> blocks = new TreeMap<>();
      stages.mine().forEach(stage -> blocks.put(stage, stages.blocks().get(stage)));
      parts.add(
          new PipelinePart(ranks, blocks, forecast.parameters(component.name(), ranks.rankAt(0))));
    }
    return parts;
  }

  private static List<RankClass> classes(
      ModelGraph graph, ScheduleTimeline timeline, MemoryForecast forecast) {
    // Ranks that share a list are found by its identity; then equal lists are joined.
    Map<List<Span>, List<Integer>> shared = new IdentityHashMap<>();
    timeline
        .spans()
        .forEach(
            (rank, spans) -> shared.computeIfAbsent(spans, key -> new ArrayList<>()).add(rank));
    Map<List<Span>, List<Integer>> equal = new LinkedHashMap<>();
    shared.values().stream()
        .sorted((a, b) -> a.getFirst() - b.getFirst())
        .forEach(
            ranks ->
                equal
                    .computeIfAbsent(
                        timeline.spans().getOrDefault(ranks.getFirst(), List.of()),
                        key -> new ArrayList<>())
                    .addAll(ranks));
    List<RankClass> classes = new ArrayList<>();
    equal.forEach(
        (spans, ranks) -> {
          List<Integer> sorted = ranks.stream().sorted().toList();
          int first = sorted.getFirst();
          Map<String, Integer> live = new LinkedHashMap<>();
          for (Component component : graph.components()) {
            if (component.mesh().contains(first)) {
              live.put(component.name(), timeline.peakLive(first, component.name()));
            }
          }
          classes.add(new RankClass(sorted, spans, live, forecast.of(first, spans)));
        });
    return classes;
  }

  /** How many different instruction lists there are. */
  int listCount() {
    Map<List<Instruction>, Boolean> lists = new IdentityHashMap<>();
    timeline.schedule().ranks().values().forEach(list -> lists.put(list, true));
    return lists.size();
  }

  /** How many instructions all ranks together have. */
  long instructionCount() {
    return timeline.schedule().ranks().values().stream().mapToLong(Collection::size).sum();
  }
}
