package dev.heddle.train.run;

import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.dataset.Spectrogram;
import dev.heddle.train.model.AudioProgram;
import dev.heddle.train.model.FusedBatch;
import dev.heddle.train.model.LanguageProgram;
import dev.heddle.train.model.VisionProgram;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Samples as large as the real ones that show and say nothing, for programs that run on paper: no
 * picture and no sound is read for them. Captions are the real ones.
 */
final class BlankSamples {
  private final RunConfig config;
  private final TrainingData data;
  private final StepPlan plan;
  private float[] blank = new float[0];

  /** Samples of a run's size; {@code plan} says which there are. */
  BlankSamples(RunConfig config, TrainingData data, StepPlan plan) {
    this.config = config;
    this.data = data;
    this.plan = plan;
  }

  /**
   * Gives a program its part of the samples of some microbatches.
   *
   * @param rank the rank that runs the program
   * @param microBatches the samples of each
   */
  void stage(
      ComponentProgram program, String component, int rank, List<List<Sample>> microBatches) {
    Mesh mesh = data.graph().mesh(component);
    int count = microBatches.size();
    int[] pictures = new int[count];
    int[][] clips = new int[count][];
    float[][] values = new float[count][];
    List<LanguageProgram.Captions> captions = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      List<Sample> samples = microBatches.get(i);
      Interval lane =
          StepPlan.lane(samples.size(), mesh.size(Axis.DP), mesh.coordinate(rank, Axis.DP));
      List<Sample> mine = samples.subList((int) lane.start(), (int) lane.end());
      switch (program) {
        case VisionProgram vision -> {
          pictures[i] = (int) mine.stream().filter(Sample::hasPicture).count();
          int side = config.model().vision().imageSize();
          values[i] = values(vision.readsPictures() ? pictures[i] * 3 * side * side : 0);
        }
        case AudioProgram audio -> {
          clips[i] = plan.clipRows(mine);
          ModelConfig.Audio sizes = Objects.requireNonNull(config.model().audio());
          values[i] =
              values(Arrays.stream(clips[i]).sum() * sizes.framesPerRow() * Spectrogram.BANDS);
        }
        case LanguageProgram language -> captions.add(captions(plan.batch(samples), lane, mine));
        default -> throw new IllegalStateException("plan: unknown program of " + component);
      }
    }
    switch (program) {
      case VisionProgram vision -> vision.stage(pictures, values);
      case AudioProgram audio -> audio.stage(clips, values);
      case LanguageProgram language -> language.stage(captions);
      default -> throw new IllegalStateException("plan: unknown program of " + component);
    }
  }

  private LanguageProgram.Captions captions(FusedBatch batch, Interval lane, List<Sample> mine) {
    CaptionText.Words words =
        CaptionText.words(
            mine.stream().map(data.dataset()::caption).toList(),
            data.tokenizer(),
            mine.stream().mapToInt(plan::textLength).toArray());
    return new LanguageProgram.Captions(batch, lane, words.read(), words.targets());
  }

  /** The same array for as long as the same number is wanted: all microbatches share it. */
  private float[] values(int count) {
    if (blank.length != count) {
      blank = new float[count];
    }
    return blank;
  }
}
