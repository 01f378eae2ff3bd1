package dev.heddle.train.run;

import dev.heddle.parallel.component.BoundarySpec;
import dev.heddle.parallel.component.Component;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** A run's layout in words: components, boundaries, schedule. Made without running anything. */
final class LayoutDescription {
  private static final int TRANSFERS_SHOWN = 16;

  private final RunConfig config;
  private final TrainingData data;
  private final DType dtype;

  LayoutDescription(RunConfig config, TrainingData data) {
    this.config = config;
    this.data = data;
    this.dtype = DTypes.of(config.dtype());
  }

  /** By component how many parameters it has. */
  Map<String, Long> parameters() {
    Map<String, Long> counts = new LinkedHashMap<>();
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope shapes = MemoryScope.open()) {
      CaptionModel.globalParameters(
              config.model(), data.tokenizer().vocabularySize(), data.graph(), meta, dtype)
          .forEach(
              (name, parameters) ->
                  counts.put(
                      name,
                      parameters.stream()
                          .mapToLong(parameter -> parameter.globalShape().size())
                          .sum()));
    }
    return counts;
  }

  /** A line for each component: its mesh and its parameters. */
  String components() {
    ModelGraph graph = data.graph();
    StringBuilder text = new StringBuilder();
    Map<String, Long> parameters = parameters();
    for (Component component : graph.components()) {
      text.append(
          String.format(
              Locale.ROOT,
              "  %-10s %-40s %6.2f M parameters%s%n",
              component.name(),
              component.mesh(),
              parameters.getOrDefault(component.name(), 0L) * 1e-6,
              graph.frozen().contains(component.name()) ? ", frozen" : ""));
    }
    return text.toString();
  }

  /** For each boundary the transfers of the first microbatch, proved before they are printed. */
  String boundaries() {
    StringBuilder text = new StringBuilder();
    StepPlan steps = new StepPlan(config, data);
    FusedBatch batch = steps.batch(steps.samples(1, 0));
    for (BoundarySpec boundary : data.graph().boundaries()) {
      BoundaryPlan plan =
          boundary.plan().apply(CaptionModel.rows(config.parallel(), batch, boundary.source()));
      plan.verify();
      text.append("  ").append(boundary.name()).append(System.lineSeparator());
      plan.table(dtype.byteSize(), TRANSFERS_SHOWN)
          .lines()
          .forEach(line -> text.append("    ").append(line).append(System.lineSeparator()));
    }
    return text.toString();
  }
}
