package dev.heddle.runtime.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
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

  /** Tensors below, at and above what a block of the GPU takes, and an empty one. */
  @Test
  default void adamWOfManyTensors_isThatOfEach() {
    DType wide = dtype().accumulation();
    AdamWStep constants = new AdamWStep(9, 0.9, 0.95, 1e-8, 0.1, 9, 9);
    AdamWStep decaying = new AdamWStep(1e-2, 0.9, 0.95, 1e-8, 0.1, 11, 0.5);
    AdamWStep plain = new AdamWStep(1e-2, 0.9, 0.95, 1e-8, 0, 11, 0.5);
    try (MemoryScope scope = MemoryScope.open()) {
      List<AdamWTensor> tensors = new ArrayList<>();
      List<NDArray> expected = new ArrayList<>();
      List<NDArray> before = new ArrayList<>();
      for (long size : new long[] {1, 8192, 0, 8193, 31, 20_000}) {
        Shape shape = Shape.of(size);
        NDArray weight = normal(wide, shape, 1);
        NDArray gradient = normal(dtype(), shape, 2);
        NDArray first = normal(wide, shape, 3);
        NDArray second = NDArray.full(subject(), wide, shape, 0.25);
        NDArray copy = wide == dtype() ? null : NDArray.zeros(subject(), dtype(), shape);
        boolean decays = size % 2 == 0;
        before.addAll(List.of(weight.copy(), first.copy(), second.copy()));
        NDArray[] alone = {weight.copy(), first.copy(), second.copy()};
        NDArray copyAlone = copy == null ? null : NDArray.zeros(subject(), dtype(), shape);
        AdamWStep step = decays ? decaying : plain;
        kernels().adamW(step, alone[0], gradient, alone[1], alone[2], copyAlone);
        expected.addAll(List.of(alone));
        expected.add(copyAlone == null ? alone[0] : copyAlone);
        tensors.add(new AdamWTensor(weight, gradient, first, second, copy, decays));
      }
      kernels()
          .adamW(constants, tensors, NDArray.of(subject(), DType.F64, Shape.of(4), 0, 1, 1, 1));
      int at = 0;
      for (AdamWTensor t : tensors) {
        for (NDArray x : List.of(t.weight(), t.firstMoment(), t.secondMoment())) {
          assertThat(x.toDoubles()).as("no GO").isEqualTo(before.get(at++).toDoubles());
        }
      }
      List<AdamWTensor> again = tensors.stream().map(UpdateConformance::copyOf).toList();
      NDArray update = NDArray.of(subject(), DType.F64, Shape.of(4), 1, 1e-2, 11, 0.5);
      kernels().adamW(constants, tensors, update);
      kernels().adamW(decaying, again);
      at = 0;
      for (AdamWTensor t : again) {
        NDArray copy = t.copy() == null ? t.weight() : t.copy();
        for (NDArray x : List.of(t.weight(), t.firstMoment(), t.secondMoment(), copy)) {
          assertThat(x.toDoubles())
              .as("numbers of the host")
              .isEqualTo(expected.get(at++).toDoubles());
        }
      }
      at = 0;
      for (AdamWTensor t : tensors) {
        NDArray copy = t.copy() == null ? t.weight() : t.copy();
        for (NDArray x : List.of(t.weight(), t.firstMoment(), t.secondMoment(), copy)) {
          // The corrections are powers, which not every device forms in the same way.
          double[] wanted = expected.get(at++).toDoubles();
          double[] got = x.toDoubles();
          for (int i = 0; i < got.length; i++) {
            double close = ulps(x.dtype()) * Math.max(1, Math.abs(wanted[i]));
            assertThat(got[i]).isCloseTo(wanted[i], within(close));
          }
        }
      }
    }
  }

  private static AdamWTensor copyOf(AdamWTensor t) {
    return new AdamWTensor(
        t.weight().copy(),
        t.gradient(),
        t.firstMoment().copy(),
        t.secondMoment().copy(),
        t.copy() == null ? null : t.copy().copy(),
        t.decays());
  }

  private static double ulps(DType dtype) {
    return switch (dtype) {
      case F64 -> 0x1p-50;
      case BF16 -> 0x1p-8;
      default -> 0x1p-22;
    };
  }

  private NDArray normal(DType dtype, Shape shape, int number) {
    NDArray x = NDArray.empty(subject(), dtype, shape);
    RandomKey key = RandomKey.of(number, "many tensors " + shape);
    subject().kernels(dtype).randomNormal(key, GlobalIndex.whole(shape), 0, 1, x);
    return x;
  }

  @Test
  default void adamWOfManyTensors_refusesTypesThatDiffer() {
    try (MemoryScope scope = MemoryScope.open()) {
      DType wide = dtype().accumulation();
      NDArray x = NDArray.zeros(subject(), wide, 3);
      AdamWTensor mine =
          new AdamWTensor(x, NDArray.zeros(subject(), dtype(), 3), x.copy(), x.copy(), null, false);
      AdamWStep constants = new AdamWStep(0, 0.9, 0.95, 1e-8, 0, 1, 1);
      NDArray update = NDArray.zeros(subject(), DType.F64, 3);
      assertThatThrownBy(() -> kernels().adamW(constants, List.of(mine), update))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("adamW: update is [3]; wanted [4]");
    }
  }

  // ---- the end of a step

  /** Control, then state, of one optimizer more than there are control numbers over five. */
  private double[] conclude(double[] control, double[] state) {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray after = NDArray.of(subject(), DType.F64, Shape.of(state.length), state);
      NDArray given = NDArray.of(subject(), DType.F64, Shape.of(control.length), control);
      subject().kernels(DType.F64).concludeStep(given, after);
      assertThat(given.toDoubles()).isEqualTo(control);
      return after.toDoubles();
    }
  }

  private static double[] numbers(double... values) {
    return values;
  }

  @Test
  default void concludeStep_finite_scalesClipsAndCounts() {
    double[] state = numbers(8, 2, 0, 0, 0, 0, /* first */ 0, 0, 4, 0, /* second */ 0, 0, 0, 0);
    // Norm sqrt(57600) / (5 * 8) = 6, clipped to 3.
    assertThat(conclude(numbers(30, 5, 57600, 3, 0, 0.1, 0.2), state))
        .containsExactly(8, 2, 6, 5, 6, 1, 1, 0.1, 5, 0.5 / 40, 1, 0.2, 1, 0.5 / 40);
    assertThat(conclude(numbers(30, 5, 57600, Double.POSITIVE_INFINITY, 0, 0.1, 0.2), state))
        .containsExactly(8, 2, 6, 5, 6, 1, 1, 0.1, 5, 1 / 40.0, 1, 0.2, 1, 1 / 40.0);
    // No token at all divides by one; no optimizer here.
    assertThat(conclude(numbers(0, 0, 0, 1, 0), numbers(1, 0, 9, 9, 9, 9)))
        .containsExactly(1, 0, 0, 0, 0, 1);
  }

  @Test
  default void concludeStep_notFinite_updatesNothing() {
    for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
      double[] state = numbers(8, 2, 0, 0, 0, 0, 1, 0, 4, 0);
      double[] after = conclude(numbers(30, 5, bad, 3, 0, 0.1), state);
      assertThat(after[StepControl.IS_FINITE]).isZero();
      assertThat(after[StepControl.update(0) + StepControl.GO]).isZero();
      assertThat(after[StepControl.update(0) + StepControl.STEP]).isEqualTo(4);
      assertThat(conclude(numbers(bad, 5, 1, 3, 0, 0.1), state)[StepControl.IS_FINITE]).isZero();
    }
  }

  @Test
  default void concludeStep_withPatience_adaptsTheScale() {
    double[] state = numbers(8, 1, 0, 0, 0, 0);
    assertThat(conclude(numbers(1, 1, 1, 1, 3), state)).startsWith(8, 2);
    state[StepControl.FINITE_STEPS] = 2;
    assertThat(conclude(numbers(1, 1, 1, 1, 3), state)).startsWith(16, 0);
    assertThat(conclude(numbers(1, 1, Double.NaN, 1, 3), state)).startsWith(4, 0);
    state[StepControl.SCALE] = StepControl.LARGEST_SCALE;
    assertThat(conclude(numbers(1, 1, 1, 1, 3), state)).startsWith(StepControl.LARGEST_SCALE, 0);
    state[StepControl.SCALE] = StepControl.SMALLEST_SCALE;
    assertThat(conclude(numbers(Double.NaN, 1, 1, 1, 3), state))
        .startsWith(StepControl.SMALLEST_SCALE, 0);
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
