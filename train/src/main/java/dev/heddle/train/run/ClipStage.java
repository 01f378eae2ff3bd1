package dev.heddle.train.run;

import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.dataset.SoundReader;
import dev.heddle.train.model.AudioProgram;
import java.util.List;
import java.util.Objects;

/**
 * Reads the spoken names of one rank's samples, a step at a time, and hands them to its program.
 */
final class ClipStage {
  private final AudioProgram program;
  private final SoundReader reader;
  private final ClipRows clips;
  private final int[][] rows;

  /** The frames of each microbatch; arrays grow to the longest and are used again. */
  private final float[][] frames;

  ClipStage(RunConfig config, TrainingData data, AudioProgram program) {
    ModelConfig.Audio audio = Objects.requireNonNull(config.model().audio());
    int microBatches = config.train().microBatches();
    this.program = program;
    this.reader = data.dataset().sounds();
    this.clips = new ClipRows(audio);
    this.rows = new int[microBatches][];
    this.frames = new float[microBatches][0];
  }

  /** How many names were read. */
  long clipCount() {
    return reader.clipCount();
  }

  /**
   * Reads the names of a microbatch.
   *
   * @param clipRows for each sample the rows of its name, 0 where it has none
   */
  void read(int microBatch, List<Sample> samples, int[] clipRows) {
    rows[microBatch] = clipRows;
    if (!program.readsClips()) {
      return;
    }
    frames[microBatch] = clips.room(clipRows, frames[microBatch]);
    clips.fill(
        clipRows,
        frames[microBatch],
        (i, target, offset) -> reader.readTraining(samples.get(i), target, offset));
  }

  /** Hands over what was read. */
  void stage() {
    program.stage(rows, frames);
  }
}
