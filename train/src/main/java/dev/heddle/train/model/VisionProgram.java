package dev.heddle.train.model;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.StagedArray;
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.train.config.ModelConfig;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The vision component on one rank: encodes the pictures staged for it. */
public final class VisionProgram implements StagedProgram {
  private final VisionEncoder encoder;
  private final ModelConfig.Vision sizes;
  private final Device device;
  private final DType dtype;
  private final List<StagedArray> pictures = new ArrayList<>();
  private int[] pictureCounts = new int[0];
  private boolean fixed;

  /** The program of an encoder made with {@code layers}, for square pictures. */
  public VisionProgram(VisionEncoder encoder, Layers layers, ModelConfig.Vision sizes) {
    this.encoder = encoder;
    this.sizes = sizes;
    this.device = layers.device();
    this.dtype = layers.dtype();
  }

  /**
   * Gives this rank its pictures of the next step. Only a rank that runs the first stage needs
   * their values.
   *
   * @param counts for each microbatch how many pictures the samples of this data lane have
   * @param pictures for each microbatch these pictures one after the other, each 3 × H × W; empty
   *     on a rank that does not run the first stage
   */
  public void stage(int[] counts, float[][] pictures) {
    pictureCounts = counts;
    int side = sizes.imageSize();
    for (int i = 0; i < counts.length; i++) {
      if (this.pictures.size() == i) {
        StagedArray made = new StagedArray(device, DType.F32);
        if (fixed) {
          made.fix();
        }
        this.pictures.add(made);
      }
      if (readsPictures()) {
        this.pictures.get(i).stage(Shape.of(counts[i], 3, side, side), pictures[i]);
      }
    }
  }

  @Override
  public boolean fixInputs() {
    fixed = true;
    pictures.forEach(StagedArray::fix);
    return true;
  }

  @Override
  public Object shapeOfStep() {
    return IntBuffer.wrap(pictureCounts.clone());
  }

  /** Whether this rank reads pictures: it runs the first stage. */
  public boolean readsPictures() {
    return encoder.stages().runs(0);
  }

  @Override
  public @Nullable Tensor forward(
      int stage, int microBatch, Map<String, Tensor> incoming, @Nullable Tensor previous) {
    int count = pictureCounts[microBatch];
    if (count == 0) {
      return null;
    }
    if (stage > 0) {
      return encoder.forward(stage, Objects.requireNonNull(previous));
    }
    NDArray array = pictures.get(microBatch).array();
    return encoder.forward(0, Tensor.constant(array.cast(dtype)));
  }

  @Override
  public @Nullable Shape inputShape(int stage, int microBatch) {
    int count = pictureCounts[microBatch];
    return stage == 0 || count == 0 ? null : Shape.of(count, encoder.heldPatches(), encoder.size());
  }

  @Override
  public List<Parameter> parameters() {
    return encoder.parameters();
  }
}
