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

  /** The most rows of sound of a sample. */
  static final int MOST_CLIP_ROWS = 4;

  /** The same with an audio encoder, less deep than the other. */
  static final ModelConfig HEARING =
      new ModelConfig(
          CONFIG.vision(),
          new ModelConfig.Audio(1, 8, 4, 2, false),
          CONFIG.projector(),
          new ModelConfig.Language(2, 8, 4, 12 + MOST_CLIP_ROWS));

  private TinyModel() {}
}
