package dev.heddle.train.model;

import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import dev.heddle.train.config.ModelConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * What pipeline stages cost, for schedules: multiplications of one sample's forward in thousands.
 * Gradients of inputs and of weights cost as much each; recomputation runs the forward once more.
 */
final class StageCosts {
  private StageCosts() {}

  /** Of a vision encoder; its projector belongs to the last stage. */
  static List<Cost> vision(ModelConfig model, Stages stages) {
    ModelConfig.Vision vision = model.vision();
    double rows = vision.patchCount();
    double size = vision.hiddenSize();
    double pixels = 3.0 * vision.patchSize() * vision.patchSize();
    double projector =
        rows * model.projector().hiddenSize() * (size + model.language().hiddenSize());
    return costs(
        stages, block(rows, size), rows * pixels * size, projector, vision.recompute());
  }

  /** Of an audio encoder whose clips have about {@code rows} rows. */
  static List<Cost> audio(ModelConfig model, ModelConfig.Audio audio, double rows, Stages stages) {
    double size = audio.hiddenSize();
    double projector =
        rows * model.projector().hiddenSize() * (size + model.language().hiddenSize());
    return costs(stages, block(rows, size), rows * size * size, projector, audio.recompute());
  }

  /**
   * Of a language model; its head belongs to the last stage.
   *
   * @param rows positions of a sequence
   * @param scored how many of them are scored
   */
  static List<Cost> language(
      ModelConfig model, double rows, double scored, int vocabularySize, Stages stages) {
    ModelConfig.Language language = model.language();
    double size = language.hiddenSize();
    return costs(
        stages, block(rows, size), 0, scored * size * vocabularySize, language.recompute());
  }

  /** Attention's projections, scores and mixing, and the two layers of the MLP. */
  private static double block(double rows, double size) {
    return rows * (12 * size * size + 2 * rows * size);
  }

  private static List<Cost> costs(
      Stages stages, double block, double first, double last, boolean recompute) {
    List<Cost> costs = new ArrayList<>();
    for (int stage = 0; stage < stages.count(); stage++) {
      Interval blocks = stages.blocks().get(stage);
      double blocksCost = block * blocks.size();
      double all =
          blocksCost + (stage == 0 ? first : 0) + (stage == stages.last() ? last : 0);
      long forward = Math.max(1, Math.round(all * 1e-3));
      long again = recompute ? Math.round(blocksCost * 1e-3) : 0;
      costs.add(new Cost(forward, forward + again, forward));
    }
    return costs;
  }
}
