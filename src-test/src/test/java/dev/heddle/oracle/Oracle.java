package dev.heddle.oracle;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.training.GradientCollector;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.assertj.core.api.Assertions;

/** Runs an operator and its backward here and in libtorch, and compares. */
final class Oracle {
  private final Device device;
  private final DType dtype;
  private final Tolerance tolerance;

  /** Compares what {@code device} computes in {@code dtype}. */
  Oracle(Device device, DType dtype, Tolerance tolerance) {
    this.device = device;
    this.dtype = dtype;
    this.tolerance = tolerance;
  }

  /** The seed of this run: {@code -Dheddle.seed=N}, else another every time. */
  static long seed() {
    String given = System.getProperty("heddle.seed");
    return given != null ? Long.parseLong(given) : System.nanoTime() & 0xffff_ffffL;
  }

  /** Compares the value and the gradient of every differentiable input of {@code line}. */
  void check(OperatorCase line, long seed) {
    Tolerance allowed = dtype == DType.F64 ? tolerance : tolerance.times(line.conditioning());
    String where = line.name() + " (replay with -Dheddle.seed=" + seed + ")";
    Random random = new Random(seed);
    try (MemoryScope scope = MemoryScope.open();
        NDManager manager = LibTorch.open()) {
      List<Tensor> tensors = new ArrayList<>();
      NDList arrays = new NDList();
      for (Input input : line.inputs()) {
        dev.heddle.runtime.NDArray value = input.create(device, dtype, random);
        tensors.add(input.differentiable() ? Tensor.leaf(value) : Tensor.constant(value));
        NDArray copy = LibTorch.copy(manager, value);
        copy.setRequiresGradient(input.differentiable());
        arrays.add(copy);
      }
      Tensor ours = line.ours().apply(new OperatorCase.Inputs(tensors));
      try (GradientCollector collector = LibTorch.require().newGradientCollector()) {
        NDArray theirs = line.theirs().apply(arrays);
        Assertions.assertThat(ours.shape().toArray())
            .as("%s: shape of the value", where)
            .isEqualTo(theirs.getShape().getShape());
        allowed.check(
            where + ": value", ours.value().toDoubles(), LibTorch.values(theirs), line.size());
        if (ours.requiresGradient()) {
          dev.heddle.runtime.NDArray dy =
              new Input(ours.shape(), (from, index) -> from.nextGaussian(), true)
                  .create(device, ours.dtype(), random);
          collector.backward(theirs.mul(LibTorch.copy(manager, dy)).sum());
          ours.backward(dy);
        }
      }
      for (int i = 0; i < tensors.size(); i++) {
        if (line.inputs().get(i).differentiable()) {
          dev.heddle.runtime.NDArray gradient = tensors.get(i).gradient();
          Assertions.assertThat(gradient).as("%s: gradient of input %d", where, i).isNotNull();
          allowed.check(
              where + ": gradient of input " + i,
              gradient.toDoubles(),
              LibTorch.values(arrays.get(i).getGradient()));
        }
      }
    }
  }
}
