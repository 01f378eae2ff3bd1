package dev.heddle.train.config;

import java.nio.file.Path;
import java.util.Locale;

/**
 * Writes a configuration as YAML with every key, defaults included: what a run keeps in its folder
 * and what {@code --resume} reads back. {@link ConfigLoader} reads it to an equal value.
 */
public final class ConfigWriter {
  private ConfigWriter() {}

  /** The configuration as YAML, one section a line. */
  public static String toYaml(RunConfig config) {
    Path path = config.data().path();
    StringBuilder text = new StringBuilder();
    line(text, "seed: %d", config.seed());
    line(text, "output: %s", quoted(config.output().toString()));
    line(text, "dtype: %s", config.dtype().word());
    line(
        text,
        "data: {kind: %s, holdOut: %d%s, textOnly: %s, packed: %s}",
        config.data().kind(),
        config.data().holdOut(),
        path == null ? "" : ", path: " + quoted(path.toString()),
        number(config.data().textOnly()),
        config.data().packed());
    line(text, "model:");
    model(text, config.model());
    line(text, "parallel:");
    parallel(text, config.parallel());
    train(text, config.train());
    return text.toString();
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  private static void model(StringBuilder text, ModelConfig model) {
    ModelConfig.Vision vision = model.vision();
    line(
        text,
        "  vision: {layers: %d, hiddenSize: %d, heads: %d, patchSize: %d, imageSize: %d,"
            + " recompute: %s}",
        vision.layers(),
        vision.hiddenSize(),
        vision.heads(),
        vision.patchSize(),
        vision.imageSize(),
        vision.recompute());
    ModelConfig.Audio audio = model.audio();
    if (audio != null) {
      line(
          text,
          "  audio: {layers: %d, hiddenSize: %d, heads: %d, framesPerRow: %d, recompute: %s}",
          audio.layers(),
          audio.hiddenSize(),
          audio.heads(),
          audio.framesPerRow(),
          audio.recompute());
    }
    line(text, "  projector: {hiddenSize: %d}", model.projector().hiddenSize());
    ModelConfig.Language language = model.language();
    line(
        text,
        "  language: {layers: %d, hiddenSize: %d, heads: %d, contextLength: %d,"
            + " tiedEmbeddings: %s, recompute: %s}",
        language.layers(),
        language.hiddenSize(),
        language.heads(),
        language.contextLength(),
        language.tiedEmbeddings(),
        language.recompute());
  }

  private static void parallel(StringBuilder text, ParallelConfig parallel) {
    line(text, "  ranks: %d", parallel.ranks());
    line(text, "  schedule: %s", parallel.schedule().label());
    line(text, "  boundary: %s", parallel.boundary().label());
    parallel
        .placements()
        .forEach((name, placement) -> line(text, "  %s: %s", name, placement(placement)));
  }

  private static String placement(ParallelConfig.Placement placement) {
    ParallelConfig.Division division = placement.division();
    String stages =
        division.stageLayers().isEmpty() ? "" : ", stageLayers: " + division.stageLayers();
    return String.format(
        Locale.ROOT,
        "{ranks: %s, tp: %d, cp: %d, pp: %d, dp: %d, cpMethod: %s, sequenceParallel: %s%s,"
            + " chunks: %d, shardOptimizer: %s}",
        quoted(placement.ranks().toString()),
        placement.tp(),
        placement.cp(),
        placement.pp(),
        placement.dp(),
        division.cpMethod().label(),
        division.sequenceParallel(),
        stages,
        division.chunks(),
        division.shardOptimizer());
  }

  private static void train(StringBuilder text, TrainConfig train) {
    StringBuilder own = new StringBuilder();
    train
        .sortedComponents()
        .forEach(
            (name, component) -> {
              Double rate = component.learningRate();
              own.append(", ").append(name).append(": {");
              own.append(rate == null ? "" : "learningRate: " + number(rate) + ", ");
              own.append("frozen: ").append(component.frozen()).append('}');
            });
    line(
        text,
        "train: {steps: %d, globalBatch: %d, microBatches: %d, learningRate: %s, warmupSteps: %d,"
            + " weightDecay: %s, clipNorm: %s, lossScale: %s%s}",
        train.steps(),
        train.globalBatch(),
        train.microBatches(),
        number(train.learningRate()),
        train.warmupSteps(),
        number(train.weightDecay()),
        number(train.clipNorm()),
        number(train.lossScale()),
        own);
  }

  private static String number(double value) {
    return Double.isInfinite(value) ? ".inf" : Double.toString(value);
  }

  /** Plain where that is surely the same text, else in double quotes. */
  private static String quoted(String text) {
    if (text.matches("[A-Za-z0-9/][A-Za-z0-9_./-]*")) {
      return text;
    }
    StringBuilder quoted = new StringBuilder("\"");
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"', '\\' -> quoted.append('\\').append(c);
        default -> {
          if (c < ' ') {
            quoted.append("\\x%02x".formatted((int) c));
          } else {
            quoted.append(c);
          }
        }
      }
    }
    return quoted.append('"').toString();
  }
}
