package dev.heddle.train.run;

import dev.heddle.parallel.component.BoundarySpec;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.PlanBuffer;
import dev.heddle.parallel.redistribute.Traffic;
import dev.heddle.parallel.redistribute.TransferPlan;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.RankSet;
import dev.heddle.train.json.Json;
import dev.heddle.train.run.MemoryForecast.RankMemory;
import dev.heddle.train.run.RunPlan.ComponentPlan;
import dev.heddle.train.run.RunPlan.RankClass;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** A plan as one JSON document for programs; all volumes in bytes, all times in multiplications. */
final class PlanDocument {
  private final RunPlan plan;
  private final int elementBytes;

  private PlanDocument(RunPlan plan) {
    this.plan = plan;
    this.elementBytes = DTypes.of(plan.config().dtype()).byteSize();
  }

  static String of(RunPlan plan) {
    return Json.write(new PlanDocument(plan).document());
  }

  private Map<String, @Nullable Object> document() {
    Map<String, @Nullable Object> document = new LinkedHashMap<>();
    document.put("ranks", plan.config().parallel().ranks());
    document.put("dtype", plan.config().dtype().word());
    document.put("components", plan.components().stream().map(PlanDocument::component).toList());
    List<Object> boundaries = new ArrayList<>();
    plan.boundaries().forEach((name, crossing) -> boundaries.add(boundary(name, crossing)));
    document.put("boundaries", boundaries);
    document.put("schedule", schedule());
    document.put("classes", plan.classes().stream().map(this::rankClass).toList());
    document.put(
        "proof",
        Map.of(
            "boundariesVerified", List.copyOf(plan.boundaries().keySet()),
            "messagesMatched", true,
            "endsUnderRendezvous", true,
            "instructions", plan.instructionCount(),
            "instructionLists", plan.listCount()));
    return document;
  }

  private static Map<String, Object> component(ComponentPlan component) {
    ParallelConfig.Placement placement = component.placement();
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("name", component.component().name());
    object.put("ranks", placement.ranks().toString());
    object.put("mesh", mesh(component.component().mesh()));
    object.put("parameters", component.parameters());
    object.put("frozen", component.frozen());
    object.put("contextMethod", placement.division().cpMethod().label());
    object.put("sequenceParallel", placement.division().sequenceParallel());
    object.put("optimizerDivided", placement.division().shardOptimizer());
    List<Object> stages = new ArrayList<>();
    int coordinate = 0;
    for (RunPlan.PipelinePart part : component.pipeline()) {
      for (var entry : part.blocks().entrySet()) {
        Cost cost = component.component().stages().get(entry.getKey());
        Map<String, Object> stage = new LinkedHashMap<>();
        stage.put("stage", entry.getKey());
        stage.put("pipelineCoordinate", coordinate);
        stage.put("ranks", new RankSet(sorted(part.ranks())).toString());
        stage.put("firstBlock", entry.getValue().start());
        stage.put("blocks", entry.getValue().size());
        stage.put("parametersOfRank", part.parameters());
        stage.put(
            "cost",
            Map.of(
                "forward", cost.forward(), "backward", cost.backward(), "weights", cost.weights()));
        stages.add(stage);
      }
      coordinate++;
    }
    object.put("stages", stages);
    return object;
  }

  private static Map<String, Object> mesh(Mesh mesh) {
    Map<String, Object> axes = new LinkedHashMap<>();
    for (Axis axis : mesh.axes()) {
      axes.put(axis.label(), mesh.size(axis));
    }
    return axes;
  }

  private static List<Integer> sorted(Mesh mesh) {
    return mesh.ranks().stream().sorted().toList();
  }

  private Map<String, @Nullable Object> boundary(String name, BoundaryPlan crossing) {
    BoundarySpec spec = plan.graph().boundary(name);
    Map<String, @Nullable Object> object = new LinkedHashMap<>();
    object.put("name", name);
    object.put("source", spec.source());
    object.put("destination", spec.destination());
    object.put("strategy", plan.config().parallel().boundary().label());
    object.put("rows", crossing.forward().counts().rowCount());
    object.put("features", spec.features());
    object.put("forward", direction(crossing.forward()));
    object.put("backward", crossing.backward().map(this::direction).orElse(null));
    return object;
  }

  private Map<String, Object> direction(TransferPlan transfers) {
    Traffic traffic = transfers.traffic();
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("bytes", traffic.total() * elementBytes);
    object.put("lowerBound", transfers.lowerBound() * elementBytes);
    List<Object> links = new ArrayList<>();
    traffic
        .links()
        .forEach(
            (link, elements) ->
                links.add(
                    Map.of(
                        "from", link.from(), "to", link.to(), "bytes", elements * elementBytes)));
    object.put("links", links);
    TreeSet<Integer> ranks = new TreeSet<>(transfers.buffer(PlanBuffer.INPUT).ranks());
    ranks.addAll(transfers.buffer(PlanBuffer.OUTPUT).ranks());
    List<Object> ofRanks = new ArrayList<>();
    for (int rank : ranks) {
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("rank", rank);
      row.put("sends", traffic.sent(rank) * elementBytes);
      row.put("receives", traffic.received(rank) * elementBytes);
      row.put("lowerBound", transfers.lowerBound(rank) * elementBytes);
      row.put("copies", traffic.copied(rank) * elementBytes);
      ofRanks.add(row);
    }
    object.put("ranks", ofRanks);
    return object;
  }

  private Map<String, @Nullable Object> schedule() {
    Map<String, @Nullable Object> object = new LinkedHashMap<>();
    object.put("kind", plan.config().parallel().schedule().label());
    object.put("microBatches", plan.config().train().microBatches());
    object.put("stepTime", plan.timeline().end());
    object.put(
        "stepTimeEncodersFirst",
        plan.encodersFirst().isPresent() ? plan.encodersFirst().getAsLong() : null);
    object.put("bubbleShare", plan.timeline().bubbleShare());
    return object;
  }

  private Map<String, Object> rankClass(RankClass ranks) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("ranks", new RankSet(ranks.ranks()).toString());
    object.put("count", ranks.ranks().size());
    object.put("peakLive", ranks.peakLive());
    RankMemory memory = ranks.memory();
    Map<String, Object> bytes = new LinkedHashMap<>();
    bytes.put("rank", ranks.first());
    bytes.put("parameters", memory.parameters());
    bytes.put("gradients", memory.gradients());
    bytes.put("optimizer", memory.optimizer());
    bytes.put("activations", memory.activations());
    bytes.put("buffers", memory.buffers());
    bytes.put("working", memory.working());
    bytes.put("peak", memory.peak());
    object.put("predictedMemory", bytes);
    RankStep step = plan.steps().get(ranks.first());
    if (step != null) {
      object.put("countedStep", countedStep(ranks.first(), step));
    }
    object.put(
        "spans",
        ranks.spans().stream()
            .map(
                span ->
                    List.<Object>of(
                        letter(span.what()),
                        span.what().component(),
                        span.what().stage(),
                        span.what().microBatch(),
                        span.start(),
                        span.end()))
            .toList());
    return object;
  }

  private static Map<String, Object> countedStep(int rank, RankStep step) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("rank", rank);
    object.put("launches", step.counters().device().launches());
    object.put("products", step.counters().products());
    object.put("hostSynchronizations", step.counters().device().hostSynchronizations());
    object.put("trailingWaits", step.counters().device().trailingWaits());
    object.put("deviceAllocations", step.counters().device().deviceAllocations());
    object.put("bytesToDevice", step.counters().device().bytesToDevice());
    object.put("bytesToHost", step.counters().device().bytesToHost());
    object.put("bytesRead", step.moved().bytesRead());
    object.put("bytesWritten", step.moved().bytesWritten());
    LeastTraffic least = step.least();
    Map<String, Object> terms = new LinkedHashMap<>();
    terms.put("weights", least.weights());
    terms.put("gradients", least.gradients());
    terms.put("optimizer", least.optimizer());
    terms.put("activations", least.activations());
    terms.put("logits", least.logits());
    terms.put("inputs", least.inputs());
    terms.put("total", least.total());
    object.put("leastBytes", terms);
    Map<String, Object> kernels = new LinkedHashMap<>();
    step.counters().kernels().entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .forEach(
            kernel ->
                kernels.put(
                    kernel.getKey(),
                    Map.of(
                        "launches", kernel.getValue().launches(),
                        "bytesRead", kernel.getValue().bytesRead(),
                        "bytesWritten", kernel.getValue().bytesWritten())));
    object.put("kernels", kernels);
    return object;
  }

  private static String letter(Compute what) {
    return switch (what) {
      case Forward forward -> "F";
      case Backward backward -> "B";
      case WeightGradients weights -> "W";
    };
  }
}
