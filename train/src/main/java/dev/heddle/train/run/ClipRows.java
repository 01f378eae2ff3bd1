package dev.heddle.train.run;

import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.dataset.Spectrogram;
import java.util.Arrays;

/** Lays spectrograms out as an audio encoder takes them: whole rows, filled up with silence. */
record ClipRows(ModelConfig.Audio audio) {
  /** Reads one clip's frames and says how many there are. */
  @FunctionalInterface
  interface Reader {
    int read(int clip, float[] target, int offset);
  }

  /** {@code frames}, or a larger array where the rows do not fit. */
  float[] room(int[] rows, float[] frames) {
    int needed = Arrays.stream(rows).sum() * rowValues();
    return frames.length >= needed ? frames : new float[needed];
  }

  /** Fills in the clips that have rows, one after the other. */
  void fill(int[] rows, float[] target, Reader reader) {
    int offset = 0;
    for (int clip = 0; clip < rows.length; clip++) {
      int end = offset + rows[clip] * rowValues();
      if (rows[clip] > 0) {
        int read = reader.read(clip, target, offset) * Spectrogram.BANDS;
        Arrays.fill(target, offset + read, end, Spectrogram.SILENCE);
      }
      offset = end;
    }
  }

  private int rowValues() {
    return audio.framesPerRow() * Spectrogram.BANDS;
  }
}
