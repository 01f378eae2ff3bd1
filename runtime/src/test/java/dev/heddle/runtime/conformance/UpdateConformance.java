package dev.heddle.runtime.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The optimizer step and the random streams. */
interface UpdateConformance extends Conformance {
  RandomKey KEY = RandomKey.of(7, "conformance");

  @Test
  default void adamW_firstAndLaterSteps_match() {
    for (long size : SIZES) {
      for (long step : new long[] {1, 10, 100_000}) {
        adamW("adamW " + size + " step " + step, size, step);
      }
    }
    adamW("adamW large", (1 << 17) + 5, 3);
  }

  private void adamW(String description, long size, long step) {
    AdamWStep numbers = new AdamWStep(1e-2, 0.9, 0.999, 1e-8, 0.1, step, 0.25);
    KernelCase kernelCase = kernelCase(description);
    double[] squares = Arrays.stream(kernelCase.normal(size)).map(v -> v * v + 0.01).toArray();
    Shape shape = Shape.of(size);
    kernelCase
        // State has the accumulation type, and the gradient is rounded alike for both.
        .tolerance(dtype() == DType.BF16 ? 1e-3 : 1)
        .inOutStatistic(shape, kernelCase.normal(size))
        .input(Placement.SHIFTED, size)
        .inOutStatistic(shape, kernelCase.normal(size))
        .inOutStatistic(shape, squares)
        .check((kernels, a) -> kernels.adamW(numbers, a[0], a[1], a[2], a[3], null));
  }

  @Test
  default void adamW_narrowGradient_writesTheRoundedCopy() {
    DType wide = dtype().accumulation();
    if (wide == dtype()) {
      return; // the weight is its own copy; MisuseConformance tests that one is refused
    }
    try (MemoryScope scope = MemoryScope.open()) {
      Shape shape = Shape.of(101);
      NDArray weight = NDArray.empty(subject(), wide, shape);
      GlobalIndex index = GlobalIndex.whole(shape);
      subject().kernels(wide).randomNormal(KEY, index, 0, 1, weight);
      NDArray gradient = NDArray.full(subject(), dtype(), shape, 0.5);
      NDArray first = NDArray.zeros(subject(), wide, shape);
      NDArray second = NDArray.zeros(subject(), wide, shape);
      NDArray copy = NDArray.full(subject(), dtype(), shape, Double.NaN);
      AdamWStep step = new AdamWStep(0.1, 0.9, 0.95, 1e-8, 0.01, 1, 1);
      kernels().adamW(step, weight, gradient, first, second, copy);
      double[] expected = weight.toDoubles();
      for (int i = 0; i < expected.length; i++) {
        expected[i] = KernelCase.round(dtype(), expected[i]);
      }
      assertThat(copy.toDoubles()).containsExactly(expected);
    }
  }

  private static GlobalIndex whole(long... dims) {
    return GlobalIndex.whole(Shape.of(dims));
  }

  @Test
  default void random_everySizeAndStride_matches() {
    for (long columns : SIZES) {
      for (Placement placement :
          List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS, Placement.TRANSPOSED)) {
        String name = columns + " " + placement;
        kernelCase("randomUniform " + name)
            .output(placement, 5, columns)
            .check((kernels, a) -> kernels.randomUniform(KEY, whole(5, columns), -1, 3, a[0]));
        kernelCase("randomNormal " + name)
            .output(placement, 5, columns)
            .check((kernels, a) -> kernels.randomNormal(KEY, whole(5, columns), 0.5, 2, a[0]));
      }
    }
    kernelCase("randomNormal large")
        .output(Placement.CONTIGUOUS, 515, 257)
        .check((kernels, a) -> kernels.randomNormal(KEY, whole(515, 257), 0, 0.02, a[0]));
    kernelCase("randomUniform scalar")
        .output(Placement.CONTIGUOUS)
        .check((kernels, a) -> kernels.randomUniform(KEY, new GlobalIndex(9), 0, 1, a[0]));
  }

  @Test
  default void random_hugeIndices_match() {
    GlobalIndex far = new GlobalIndex((1L << 40) + 3, 1_000_003, 1);
    kernelCase("randomUniform far")
        .output(Placement.CONTIGUOUS, 9, 37)
        .check((kernels, a) -> kernels.randomUniform(KEY, far, 0, 1, a[0]));
    kernelCase("randomNormal far")
        .output(Placement.CONTIGUOUS, 9, 37)
        .check((kernels, a) -> kernels.randomNormal(KEY, far, 0, 1, a[0]));
  }

  /** The law that makes runs comparable: a shard draws what the whole would have given it. */
  @Test
  default void random_shardOfWhole_hasTheSameBits() {
    try (MemoryScope scope = MemoryScope.open()) {
      Shape shape = Shape.of(6, 37);
      for (int dim = 0; dim < 2; dim++) {
        for (long start = 0; start < shape.dim(dim); start += 5) {
          long end = Math.min(shape.dim(dim), start + 5);
          Shape part = shape.with(dim, end - start);
          GlobalIndex index = GlobalIndex.shard(shape, dim, start);
          NDArray all = NDArray.empty(subject(), dtype(), shape);
          NDArray shard = NDArray.empty(subject(), dtype(), part);
          kernels().randomNormal(KEY, GlobalIndex.whole(shape), 0, 1, all);
          kernels().randomNormal(KEY, index, 0, 1, shard);
          assertThat(shard.toDoubles()).isEqualTo(all.slice(dim, start, end).toDoubles());
          kernels().randomUniform(KEY, GlobalIndex.whole(shape), 0, 1, all);
          kernels().randomUniform(KEY, index, 0, 1, shard);
          assertThat(shard.toDoubles()).isEqualTo(all.slice(dim, start, end).toDoubles());
          NDArray ones = NDArray.full(subject(), dtype(), shape, 1);
          kernels().dropout(KEY, GlobalIndex.whole(shape), 0.4, ones, all);
          kernels().dropout(KEY, index, 0.4, ones.slice(dim, start, end).contiguous(), shard);
          assertThat(shard.toDoubles()).isEqualTo(all.slice(dim, start, end).toDoubles());
        }
      }
    }
  }

  @Test
  default void dropout_everyProbability_dropsTheSameElements() {
    for (double probability : new double[] {0, 0.1, 0.25, 0.5, 0.9}) {
      for (long columns : SIZES) {
        kernelCase("dropout " + probability + " " + columns)
            .input(Placement.SHIFTED, 3, columns)
            .output(Placement.CONTIGUOUS, 3, columns)
            .check(
                (kernels, a) -> kernels.dropout(KEY, whole(3, columns), probability, a[0], a[1]));
      }
      kernelCase("dropout in place " + probability)
          .inOut(Placement.CONTIGUOUS, 515, 257)
          .check((kernels, a) -> kernels.dropout(KEY, whole(515, 257), probability, a[0], a[0]));
    }
  }
}
