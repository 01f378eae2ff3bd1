package dev.heddle.nn;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * Makes parameters: allocates this rank's part in the current memory scope and draws its initial
 * values by global index.
 *
 * @param device where they live
 * @param dtype their type
 * @param seed the seed of their initial values
 */
public record ParameterFactory(Device device, DType dtype, long seed) {
  /**
   * A parameter, or the part [{@code start}, {@code start + count}) of dim {@code splitDim} of it.
   * Made while gradients are off ({@link GradientMode#noGrad}) it is frozen: a constant.
   *
   * @param splitDim the divided dim, or {@link Parameter#WHOLE}
   */
  public Parameter make(
      String name,
      Shape globalShape,
      int splitDim,
      long start,
      long count,
      Initializer initializer) {
    boolean whole = splitDim == Parameter.WHOLE || count == globalShape.dim(splitDim);
    Shape local = whole ? globalShape : globalShape.with(splitDim, count);
    GlobalIndex index =
        whole ? GlobalIndex.whole(globalShape) : GlobalIndex.shard(globalShape, splitDim, start);
    NDArray value = NDArray.empty(device, dtype, local);
    DType drawn = Initializer.drawnIn(dtype);
    RandomKey key = RandomKey.of(seed, name);
    if (drawn == dtype) {
      initializer.fill(value, key, index);
    } else {
      try (MemoryScope drawing = MemoryScope.open()) {
        NDArray exact = NDArray.empty(device, drawn, local);
        initializer.fill(exact, key, index);
        exact.kernels().copy(exact, value);
      }
    }
    return new Parameter(
        name,
        GradientMode.isEnabled() ? Tensor.leaf(value) : Tensor.constant(value),
        globalShape,
        whole ? Parameter.WHOLE : splitDim,
        whole ? 0 : start,
        initializer.isRandom() && globalShape.rank() > 1);
  }
}
