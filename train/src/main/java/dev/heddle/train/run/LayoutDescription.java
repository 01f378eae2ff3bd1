package dev.heddle.train.run;

import dev.heddle.nn.Parameter;
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
import java.util.List;
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

  /** A line for each component: its mesh and its parameters. */
  String components() {
    ModelGraph graph = data.graph();
    StringBuilder text = new StringBuilder();
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope shapes = MemoryScope.open()) {
      Map<String, List<Parameter>> parameters =
          CaptionModel.globalParameters(
              config.model(), data.tokenizer().vocabularySize(), graph, meta, dtype);
      for (Component component : graph.components()) {
        long count =
            parameters.getOrDefault(component.name(), List.of()).stream()
                .mapToLong(parameter -> parameter.globalShape().size())
                .sum();
        text.append(
            String.format(
                Locale.ROOT,
                "  %-10s %-40s %6.2f M parameters%s%n",
                component.name(),
                component.mesh(),
                count * 1e-6,
                graph.frozen().contains(component.name()) ? ", frozen" : ""));
      }
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

  /** One line a rank: what it does in a step, checked to end under rendezvous. */
  String schedule() {
    StringBuilder text = new StringBuilder();
    data.graph()
        .schedule(config.parallel().schedule(), config.train().microBatches())
        .toString()
        .lines()
        .forEach(line -> text.append("  ").append(line).append(System.lineSeparator()));
    return text.toString();
  }

  /** All of it. */
  String everything() {
    return "components%n%s%nboundaries (first microbatch)%n%s%nschedule of a step%n%s"
        .formatted(components(), boundaries(), schedule());
  }
}
