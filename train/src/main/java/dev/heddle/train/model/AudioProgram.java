package dev.heddle.train.model;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.component.StagedArray;
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.Shape;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The audio component on one rank: encodes the clips staged for it. */
public final class AudioProgram implements StagedProgram {
  private final AudioEncoder encoder;
  private final Device device;
  private final DType dtype;
  private final int rowValues;
  private int[][] stagedRows = new int[0][];
  private final List<StagedArray> frames = new ArrayList<>();
  private boolean fixed;

  /**
   * The program of an encoder made with {@code layers}.
   *
   * @param rowValues values of one row: frames a row times bands
   */
  public AudioProgram(AudioEncoder encoder, Layers layers, int rowValues) {
    this.encoder = encoder;
    this.device = layers.device();
    this.dtype = layers.dtype();
    this.rowValues = rowValues;
  }

  /**
   * Gives this rank its clips of the next step. Only a rank that runs the first stage needs their
   * frames.
   *
   * @param rows for each microbatch the rows of each clip that the samples of this data lane have
   * @param frames for each microbatch the frames of these clips, each clip filled up to whole rows,
   *     one after the other, and whatever stands behind them; empty on a rank that does not run the
   *     first stage
   */
  public void stage(int[][] rows, float[][] frames) {
    stagedRows = rows;
    for (int i = 0; i < rows.length; i++) {
      if (this.frames.size() == i) {
        StagedArray made = new StagedArray(device, DType.F32);
        if (fixed) {
          made.fix();
        }
        this.frames.add(made);
      }
      if (readsClips()) {
        stageHeld(this.frames.get(i), i, frames[i]);
      }
    }
  }

  /** Stages the frames of the rows that this rank holds. */
  private void stageHeld(StagedArray array, int microBatch, float[] values) {
    SequenceSpec clips = clips(microBatch);
    if (values.length < clips.length() * rowValues) {
      throw new IllegalArgumentException(
          "audio program: microbatch %d has %d values staged, wanted %d rows of %d"
              .formatted(microBatch, values.length, clips.length(), rowValues));
    }
    long[] held = encoder.heldRows(clips);
    Shape shape = Shape.of(held.length, rowValues);
    if (held.length == clips.length()) {
      array.stage(shape, values);
      return;
    }
    float[] mine = new float[held.length * rowValues];
    for (int i = 0; i < held.length; i++) {
      int from = Math.toIntExact(held[i] * rowValues);
      System.arraycopy(values, from, mine, i * rowValues, rowValues);
    }
    array.stage(shape, mine);
  }

  @Override
  public boolean fixInputs() {
    fixed = true;
    frames.forEach(StagedArray::fix);
    return true;
  }

  @Override
  public Object shapeOfStep() {
    return Arrays.stream(stagedRows).map(rows -> IntBuffer.wrap(rows.clone())).toList();
  }

  /** Whether this rank reads clips: it runs the first stage. */
  public boolean readsClips() {
    return encoder.stages().runs(0);
  }

  @Override
  public @Nullable Tensor forward(
      int stage, int microBatch, Map<String, Tensor> incoming, @Nullable Tensor previous) {
    SequenceSpec clips = clips(microBatch);
    if (clips.length() == 0) {
      return null;
    }
    if (stage > 0) {
      return encoder.forward(stage, Objects.requireNonNull(previous), clips);
    }
    Tensor x = Tensor.constant(frames.get(microBatch).array().cast(dtype));
    return encoder.forward(0, x, clips);
  }

  private SequenceSpec clips(int microBatch) {
    return SequenceSpec.packed(Arrays.stream(stagedRows[microBatch]).asLongStream().toArray());
  }

  @Override
  public @Nullable Shape inputShape(int stage, int microBatch) {
    SequenceSpec clips = clips(microBatch);
    return stage == 0 || clips.length() == 0
        ? null
        : Shape.of(1, encoder.heldRows(clips).length, encoder.size());
  }

  @Override
  public List<Parameter> parameters() {
    return encoder.parameters();
  }
}
