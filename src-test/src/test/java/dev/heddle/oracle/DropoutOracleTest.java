package dev.heddle.oracle;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.ndarray.types.Shape;
import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Dropout;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Dropout draws its own mask, so libtorch is given the mask that dropout of ones shows; that the
 * share of zeros is right is checked too.
 */
class DropoutOracleTest {
  private static final double PROBABILITY = 0.3;

  @ParameterizedTest(name = "{0}")
  @EnumSource(CpuBackend.class)
  void dropout_f32_equalsLibtorchWithTheSameMask(CpuBackend backend) {
    check(backend, DType.F32, Tolerance.F32);
  }

  @ParameterizedTest(name = "{0}")
  @EnumSource(CpuBackend.class)
  void dropout_f64_equalsLibtorchWithTheSameMask(CpuBackend backend) {
    check(backend, DType.F64, Tolerance.F64);
  }

  private static void check(CpuBackend backend, DType dtype, Tolerance tolerance) {
    try (CpuDevice device = CpuDevice.open("dropout", 2, backend)) {
      for (long[] dims : new long[][] {{1}, {3, 7}, {65, 1031}}) {
        dev.heddle.runtime.Shape shape = dev.heddle.runtime.Shape.of(dims);
        RandomKey key = RandomKey.of(11, "dropout");
        GlobalIndex index = GlobalIndex.whole(shape);
        double[] mask;
        try (MemoryScope scope = MemoryScope.open()) {
          Tensor ones = Tensor.constant(NDArray.full(device, dtype, shape, 1));
          mask = Dropout.dropout(ones, PROBABILITY, key, index).value().toDoubles();
        }
        int zeros = 0;
        for (double value : mask) {
          zeros += value == 0 ? 1 : 0;
        }
        if (mask.length > 10_000) {
          assertThat(zeros / (double) mask.length).isBetween(0.29, 0.31);
        }
        OperatorCase line =
            new OperatorCase(
                "dropout " + shape,
                List.of(Input.normal(dims)),
                in -> Dropout.dropout(in.get(0), PROBABILITY, key, index),
                in -> in.get(0).mul(in.get(0).getManager().create(mask, new Shape(dims))));
        new Oracle(device, dtype, tolerance).check(line, Oracle.seed());
      }
    }
  }
}
