package dev.heddle.train.run;

import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What each microbatch of a step consists of: which samples, and how long their fused sequences
 * are. Worked out from the plan and the captions alone, so every rank knows it of all samples
 * without reading a picture or a sound. Not safe for use by several threads.
 */
final class StepPlan {
  private final RunConfig config;
  private final TrainingData data;
  private final BatchPlan plan;

  StepPlan(RunConfig config, TrainingData data) {
    this.config = config;
    this.data = data;
    this.plan =
        new BatchPlan(
            data.dataset().training().size(),
            config.train().globalBatch(),
            config.train().microBatches(),
            config.seed(),
            config.data().textOnly());
  }

  /** All samples of a microbatch, in order. */
  List<Sample> samples(long step, int microBatch) {
    return plan.microBatch(step, microBatch);
  }

  /** Which of a microbatch's samples the data lane at {@code coordinate} of {@code lanes} has. */
  static Interval lane(int samples, int lanes, int coordinate) {
    return Split.part(samples, lanes, coordinate);
  }

  /** The lengths of a microbatch's sequences. */
  FusedBatch batch(List<Sample> samples) {
    int patches = config.model().vision().patchCount();
    int[] rows = samples.stream().mapToInt(s -> s.hasPicture() ? patches : 0).toArray();
    int[] words = samples.stream().mapToInt(this::textLength).toArray();
    Map<String, int[]> encoders = new LinkedHashMap<>();
    encoders.put(CaptionModel.VISION, rows);
    if (config.model().audio() != null) {
      encoders.put(CaptionModel.AUDIO, clipRows(samples));
    }
    return new FusedBatch(encoders, words, config.data().packed());
  }

  /** The rows of each sample's spoken name; none for a sample of words only. */
  int[] clipRows(List<Sample> samples) {
    ModelConfig.Audio audio = Objects.requireNonNull(config.model().audio());
    return samples.stream()
        .mapToInt(s -> s.hasPicture() ? audio.rowCount(data.dataset().frameCount(s)) : 0)
        .toArray();
  }

  /** Packed captions take what they need; others all take as much as the longest of the data. */
  int textLength(Sample sample) {
    return config.data().packed()
        ? CaptionText.textLength(data.dataset().caption(sample))
        : data.textLength();
  }
}
