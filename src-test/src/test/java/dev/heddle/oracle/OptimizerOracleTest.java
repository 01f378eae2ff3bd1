package dev.heddle.oracle;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;
import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** AdamW and the sum of squares that clipping needs, against libtorch's. */
class OptimizerOracleTest {
  private static final int STEPS = 5;
  private static final float LEARNING_RATE = 0.01f;
  private static final float DECAY = 0.1f;
  private static final float BETA1 = 0.9f;
  private static final float BETA2 = 0.95f;
  private static final float EPSILON = 1e-8f;

  /**
   * DJL's optimizer takes its numbers as floats and computes in single precision. It also divides
   * by sqrt(v) + epsilon before the correction of v, which is the same up to epsilon.
   */
  @ParameterizedTest(name = "{0}")
  @EnumSource(CpuBackend.class)
  void adamW_fiveStepsInF32_equalsLibtorchs(CpuBackend backend) {
    long seed = Oracle.seed();
    Random random = new Random(seed);
    for (long size : new long[] {1, 7, 64, 1031, 70_001}) {
      try (CpuDevice device = CpuDevice.open("optimizer", 2, backend);
          MemoryScope scope = MemoryScope.open();
          NDManager manager = LibTorch.open()) {
        adamW(device, manager, size, random, "size " + size + ", -Dheddle.seed=" + seed);
      }
    }
  }

  private static void adamW(
      Device device, NDManager manager, long size, Random random, String where) {
    Optimizer theirs =
        Optimizer.adamW()
            .optLearningRateTracker(Tracker.fixed(LEARNING_RATE))
            .optWeightDecays(DECAY)
            .optBeta1(BETA1)
            .optBeta2(BETA2)
            .optEpsilon(EPSILON)
            .build();
    Shape shape = Shape.of(size);
    dev.heddle.runtime.NDArray weight = Input.normal(size).create(device, DType.F32, random);
    dev.heddle.runtime.NDArray first = dev.heddle.runtime.NDArray.zeros(device, DType.F32, shape);
    dev.heddle.runtime.NDArray second = dev.heddle.runtime.NDArray.zeros(device, DType.F32, shape);
    NDArray theirWeight = manager.create(weight.toFloats());
    for (int step = 1; step <= STEPS; step++) {
      // Moderate gradients: where one is nearly 0, g / |g| has no digits to compare.
      dev.heddle.runtime.NDArray gradient =
          Input.uniform(0.1, 2, size).create(device, DType.F32, random);
      NDArray theirGradient = manager.create(gradient.toFloats());
      device
          .kernels(DType.F32)
          .adamW(
              new AdamWStep(LEARNING_RATE, BETA1, BETA2, EPSILON, DECAY, step, 1),
              weight,
              gradient,
              first,
              second,
              null);
      theirs.update("weight", theirWeight, theirGradient);
      new Tolerance(1e-5, 1e-6)
          .check(
              "weights after step " + step + ", " + where,
              weight.toDoubles(),
              LibTorch.values(theirWeight));
    }
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource(CpuBackend.class)
  void sumOfSquares_ofSeveralArrays_equalsLibtorchs(CpuBackend backend) {
    long seed = Oracle.seed();
    Random random = new Random(seed);
    try (CpuDevice device = CpuDevice.open("norm", 2, backend);
        MemoryScope scope = MemoryScope.open();
        NDManager manager = LibTorch.open()) {
      List<dev.heddle.runtime.NDArray> arrays = new ArrayList<>();
      double expected = 0;
      for (long size : new long[] {1, 9, 64, 100_003}) {
        dev.heddle.runtime.NDArray array = Input.normal(size).create(device, DType.F32, random);
        arrays.add(array);
        expected += LibTorch.copy(manager, array).square().sum().getDouble();
      }
      double sum = device.kernels(DType.F32).sumOfSquares(arrays);
      assertThat(Math.abs(sum - expected) / expected)
          .as("%s against %s, -Dheddle.seed=%d", sum, expected, seed)
          .isLessThan(1e-6);
    }
  }
}
