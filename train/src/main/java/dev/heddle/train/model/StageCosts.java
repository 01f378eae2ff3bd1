package dev.heddle.train.model;

import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.dataset.Spectrogram;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * What pipeline stages cost, for schedules: the multiplications of one rank for its lane's share of
 * a microbatch. Gradients of inputs and of weights cost as much as the forward each; recomputation
 * runs the forward of the blocks once more.
 *
 * <p>A lane has the samples of the microbatch over dp; its ranks divide them over tp and cp. What
 * moves data costs nothing here.
 */
final class StageCosts {
  private static final double CHANNELS = 3;

  /** Multiplications of a row, by the square of its size: attention's result, and the MLP. */
  private static final double BEHIND_ATTENTION = 9;

  private final ModelConfig model;
  private final Workload work;

  StageCosts(ModelConfig model, Workload work) {
    this.model = model;
    this.work = work;
  }

  /** The costs of a component's stages. */
  List<Cost> of(String component, ParallelConfig.Placement placement, Stages stages) {
    double share = work.samples() / placement.dp() / placement.tp() / placement.cp();
    return switch (component) {
      case CaptionModel.VISION -> vision(stages, share * work.pictures());
      case CaptionModel.AUDIO -> audio(stages, share * work.pictures());
      default -> language(stages, share, placement.division().sequenceParallel());
    };
  }

  /** The projector belongs to the last stage. */
  private List<Cost> vision(Stages stages, double share) {
    ModelConfig.Vision vision = model.vision();
    double rows = vision.patchCount();
    double pixels = CHANNELS * vision.patchSize() * vision.patchSize();
    return costs(
        stages,
        share * block(rows, rows, vision.hiddenSize()),
        share * rows * pixels * vision.hiddenSize(),
        share * projector(rows, vision.hiddenSize()),
        0,
        vision.recompute());
  }

  private List<Cost> audio(Stages stages, double share) {
    ModelConfig.Audio audio = Objects.requireNonNull(model.audio());
    double rows = work.clipRows();
    double values = (double) audio.framesPerRow() * Spectrogram.BANDS;
    return costs(
        stages,
        share * block(rows, rows, audio.hiddenSize()),
        share * rows * values * audio.hiddenSize(),
        share * projector(rows, audio.hiddenSize()),
        0,
        audio.recompute());
  }

  /**
   * The head belongs to the last stage; it scores words only, and the last block computes only
   * these behind its attention (see {@link LanguageModel}).
   */
  private List<Cost> language(Stages stages, double share, boolean sequenceParallel) {
    ModelConfig.Language language = model.language();
    double size = language.hiddenSize();
    double rows =
        work.pictures() * (model.vision().patchCount() + work.clipRows()) + work.textLength();
    // A position attends to half of the others on average.
    return costs(
        stages,
        share * block(rows, rows / 2, size),
        0,
        share * work.textLength() * size * work.vocabularySize(),
        sequenceParallel ? 0 : share * (rows - work.textLength()) * BEHIND_ATTENTION * size * size,
        language.recompute());
  }

  private double projector(double rows, double size) {
    double inside = model.projector().hiddenSize();
    return rows * inside * (size + model.language().hiddenSize());
  }

  /** Attention's projections, scores and mixing, and the two layers of the MLP. */
  private static double block(double rows, double attended, double size) {
    return rows * (12 * size * size + 2 * attended * size);
  }

  /**
   * Of each stage.
   *
   * @param first what the first stage has before its blocks
   * @param last what the last stage has behind its blocks
   * @param leftOut what the last block does not compute
   */
  private static List<Cost> costs(
      Stages stages, double block, double first, double last, double leftOut, boolean recompute) {
    List<Cost> costs = new ArrayList<>();
    for (int stage = 0; stage < stages.count(); stage++) {
      Interval blocks = stages.blocks().get(stage);
      boolean ends = stage == stages.last();
      double ofBlocks = block * blocks.size() - (ends && blocks.size() > 0 ? leftOut : 0);
      double all = ofBlocks + (stage == 0 ? first : 0) + (ends ? last : 0);
      long forward = Math.max(1, Math.round(all));
      long again = recompute ? Math.round(ofBlocks) : 0;
      costs.add(new Cost(forward, forward + again, forward));
    }
    return costs;
  }
}
