package dev.heddle.parity;

import dev.heddle.train.config.ModelConfig;

/** A captioning model of sizes that no number of ranks divides. */
final class TinyModel {
  static final int IMAGE_SIZE = 8;
  static final int VOCABULARY = 23;
  static final int TEXT_LENGTH = 5;

  /** Two layers each, 4 heads: what tp=3 cannot divide evenly. */
  static final ModelConfig CONFIG =
      new ModelConfig(
          new ModelConfig.Vision(2, 8, 4, 4, IMAGE_SIZE),
          new ModelConfig.Projector(10),
          new ModelConfig.Language(2, 8, 4, 12));

  private TinyModel() {}
}
