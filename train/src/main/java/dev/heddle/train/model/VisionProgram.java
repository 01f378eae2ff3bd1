package dev.heddle.train.model;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The vision component on one rank: encodes the pictures staged for it. */
public final class VisionProgram implements ComponentProgram {
  private final VisionEncoder encoder;
  private final Device device;
  private final DType dtype;
  private final int imageSize;
  private float[][] staged = new float[0][];

  /** The program of an encoder made with {@code layers}, for square pictures. */
  public VisionProgram(VisionEncoder encoder, Layers layers, int imageSize) {
    this.encoder = encoder;
    this.device = layers.device();
    this.dtype = layers.dtype();
    this.imageSize = imageSize;
  }

  /**
   * Gives this rank its pictures of the next step.
   *
   * @param pictures for each microbatch the samples' pictures one after the other, each 3 × H × W
   */
  public void stage(float[][] pictures) {
    staged = pictures;
  }

  @Override
  public @Nullable Tensor forward(int microBatch, Map<String, Tensor> incoming) {
    float[] pictures = staged[microBatch];
    int values = 3 * imageSize * imageSize;
    if (pictures.length == 0) {
      return null;
    }
    NDArray array =
        NDArray.of(device, Shape.of(pictures.length / values, 3, imageSize, imageSize), pictures);
    return encoder.forward(Tensor.constant(array.cast(dtype)));
  }

  @Override
  public List<Parameter> parameters() {
    return encoder.parameters();
  }
}
