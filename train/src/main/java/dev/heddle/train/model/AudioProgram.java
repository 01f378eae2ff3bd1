package dev.heddle.train.model;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.lang.foreign.MemorySegment;
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
  private float[][] stagedFrames = new float[0][];

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
    stagedFrames = frames;
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
    Tensor x = stage == 0 ? frames(microBatch, clips) : Objects.requireNonNull(previous);
    return encoder.forward(stage, x, clips);
  }

  private SequenceSpec clips(int microBatch) {
    return SequenceSpec.packed(Arrays.stream(stagedRows[microBatch]).asLongStream().toArray());
  }

  /** The frames of the rows that this rank holds. */
  private Tensor frames(int microBatch, SequenceSpec clips) {
    float[] values = stagedFrames[microBatch];
    if (values.length < clips.length() * rowValues) {
      throw new IllegalStateException(
          "audio program: microbatch %d has %d values staged, wanted %d rows of %d"
              .formatted(microBatch, values.length, clips.length(), rowValues));
    }
    long[] held = encoder.heldRows(clips);
    NDArray array = NDArray.empty(device, DType.F32, held.length, rowValues);
    long rowBytes = (long) rowValues * Float.BYTES;
    MemorySegment source = MemorySegment.ofArray(values);
    // Held rows come in runs; each is written where the runs before it end.
    for (int start = 0; start < held.length; ) {
      int end = start + 1;
      while (end < held.length && held[end] == held[end - 1] + 1) {
        end++;
      }
      array
          .slice(0, start, end)
          .writeBytes(source.asSlice(held[start] * rowBytes, (end - start) * rowBytes));
      start = end;
    }
    return Tensor.constant(array.cast(dtype));
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
