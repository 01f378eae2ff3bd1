package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.CrossEntropy;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;

/**
 * Layers that are not split: every head, unit and vocabulary entry is here.
 *
 * @param device where parameters live
 * @param dtype type of parameters and activations
 * @param seed for initial values
 */
public record LocalLayers(Device device, DType dtype, long seed) implements Layers {
  @Override
  public int parallelDegree() {
    return 1;
  }

  @Override
  public Part part(long count) {
    return Part.whole(count);
  }

  @Override
  public Tensor enterParallel(Tensor x) {
    return x;
  }

  @Override
  public Tensor leaveParallel(Tensor x) {
    return x;
  }

  @Override
  public Tensor crossEntropySum(Tensor logits, NDArray targets, Part vocabulary) {
    return CrossEntropy.crossEntropySum(logits, targets);
  }
}
