package dev.heddle.train.config;

import java.nio.file.Path;

/**
 * Writes a configuration as YAML with every key, defaults included: what a run keeps in its folder
 * and what {@code --resume} reads back. {@link ConfigLoader} reads it to an equal value.
 */
public final class ConfigWriter {
  private ConfigWriter() {}

  /** The configuration as YAML, one section a line. */
  public static String toYaml(RunConfig config) {
    Path path = config.data().path();
    ModelConfig.Vision vision = config.model().vision();
    ModelConfig.Language language = config.model().language();
    TrainConfig train = config.train();
    return """
    seed: %d
    output: %s
    dtype: %s
    data:     {kind: %s, holdOut: %d%s}
    model:
      vision:    {layers: %d, hiddenSize: %d, heads: %d, patchSize: %d, imageSize: %d}
      projector: {hiddenSize: %d}
      language:  {layers: %d, hiddenSize: %d, heads: %d, contextLength: %d}
    parallel:
      ranks: %d
      vision:   %s
      language: %s
    train: {steps: %d, globalBatch: %d, microBatches: %d, learningRate: %s, warmupSteps: %d, \
    weightDecay: %s, clipNorm: %s}
    """
        .formatted(
            config.seed(),
            quoted(config.output().toString()),
            config.dtype().word(),
            config.data().kind(),
            config.data().holdOut(),
            path == null ? "" : ", path: " + quoted(path.toString()),
            vision.layers(),
            vision.hiddenSize(),
            vision.heads(),
            vision.patchSize(),
            vision.imageSize(),
            config.model().projector().hiddenSize(),
            language.layers(),
            language.hiddenSize(),
            language.heads(),
            language.contextLength(),
            config.parallel().ranks(),
            placement(config.parallel().vision()),
            placement(config.parallel().language()),
            train.steps(),
            train.globalBatch(),
            train.microBatches(),
            number(train.learningRate()),
            train.warmupSteps(),
            number(train.weightDecay()),
            number(train.clipNorm()));
  }

  private static String placement(ParallelConfig.Placement placement) {
    return "{ranks: %s, tp: %d, cp: %d, pp: %d, dp: %d}"
        .formatted(
            quoted(placement.ranks().toString()),
            placement.tp(),
            placement.cp(),
            placement.pp(),
            placement.dp());
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
