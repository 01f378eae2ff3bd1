package dev.heddle.jmh;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What a model is trained on, on a device, in the scope that was open when it was made.
 *
 * @param patches [B,S,patch size], or null for a language model
 * @param tokens [B S] I64, or null for an image classifier
 * @param targets the class of every scored position or image, I64
 */
record StepBatch(@Nullable NDArray patches, @Nullable NDArray tokens, NDArray targets) {
  /**
   * The samples of one of {@code parts} ranks that divide the batch evenly.
   *
   * @param dtype of the patches
   */
  static StepBatch of(BenchmarkModel model, Device device, DType dtype, int part, int parts) {
    long[] targets = share(model.targets(), part, parts);
    NDArray classes = NDArray.of(device, Shape.of(targets.length), targets);
    return switch (model) {
      case StepModel step -> {
        long batch = step.batchSize() / parts;
        long length = step.sequenceLength();
        if (step.causal()) {
          long[] tokens = share(step.tokens(), part, parts);
          yield new StepBatch(null, NDArray.of(device, Shape.of(batch * length), tokens), classes);
        }
        Shape shape = Shape.of(batch, length, StepModel.PATCH_SIZE);
        yield new StepBatch(
            numbers(device, dtype, shape, share(step.patches(), part, parts)), null, classes);
      }
      case CaptionModel caption -> {
        long batch = caption.batchSize() / parts;
        Shape shape = Shape.of(batch, caption.patches(), caption.patchSize());
        yield new StepBatch(
            numbers(device, dtype, shape, share(caption.pixels(), part, parts)), classes, classes);
      }
    };
  }

  private static long[] share(long[] all, int part, int parts) {
    int size = all.length / parts;
    return Arrays.copyOfRange(all, part * size, (part + 1) * size);
  }

  private static float[] share(float[] all, int part, int parts) {
    int size = all.length / parts;
    return Arrays.copyOfRange(all, part * size, (part + 1) * size);
  }

  private static NDArray numbers(Device device, DType dtype, Shape shape, float[] values) {
    NDArray array = NDArray.empty(device, dtype, shape);
    array.writeDoubles(StepNetwork.widened(values));
    return array;
  }
}
