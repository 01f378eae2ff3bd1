package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Element-wise loops by machine code have the bits of the loops in Java; but for GELU, see {@link
 * MachineGeluTest}.
 */
class MachineLoopsTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);

  @BeforeEach
  void onlyWhereItRuns() {
    assumeTrue(CpuBackend.hasMachineCode(), "this is not Linux on a processor with AVX-512");
  }

  /** Without which comparing backends would compare Java with itself. */
  @Test
  void whatStepsAreFullOf_hasCode() {
    MachineLoops loops = MachineLoops.here();
    assertThat(loops).isNotNull();
    for (Type type : Type.values()) {
      for (UnaryOperation op : List.of(UnaryOperation.GELU, UnaryOperation.SILU)) {
        assertThat(loops.unary(op, type)).as("%s of %s", op, type).isNotNull();
        assertThat(loops.unaryBackward(op, type)).as("%s of %s", op, type).isNotNull();
      }
      for (BinaryOperation op : List.of(BinaryOperation.ADD, BinaryOperation.MULTIPLY)) {
        assertThat(loops.binary(op, type)).as("%s of %s", op, type).isNotNull();
      }
    }
  }

  private static List<double[]> results(
      CpuBackend backend, DType dtype, double[] left, double[] right) {
    List<double[]> results = new ArrayList<>();
    try (CpuDevice device = CpuDevice.open("cpu:loops", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      Shape shape = Shape.of(left.length);
      NDArray a = NDArray.of(device, dtype, shape, left);
      NDArray b = NDArray.of(device, dtype, shape, right);
      for (UnaryOperation op : UnaryOperation.values()) {
        if (op == UnaryOperation.GELU) {
          continue;
        }
        NDArray y = NDArray.full(device, dtype, shape, 3);
        a.kernels().unary(op, a, y);
        results.add(y.toDoubles());
        a.kernels().unaryBackward(op, a, b, y);
        results.add(y.toDoubles());
      }
      for (BinaryOperation op : BinaryOperation.values()) {
        NDArray y = NDArray.full(device, dtype, shape, 3);
        a.kernels().binary(op, a, b, y);
        results.add(y.toDoubles());
      }
    }
    return results;
  }

  private static void assertSame(List<double[]> machine, List<double[]> java) {
    assertThat(machine).hasSameSizeAs(java);
    for (int i = 0; i < machine.size(); i++) {
      assertThat(machine.get(i)).as("result %s", i).isEqualTo(java.get(i));
    }
  }

  /** All that there are: whatever is special is among them. */
  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16"})
  void everyBf16Value_hasTheBitsOfJava(DType dtype) {
    double[] left = new double[1 << 16];
    double[] right = new double[1 << 16];
    Random random = new Random(SEED);
    for (int i = 0; i < left.length; i++) {
      left[i] = DType.bf16ToFloat((short) i);
      right[i] = DType.bf16ToFloat((short) random.nextInt());
    }
    assertSame(
        results(CpuBackend.BEST, dtype, left, right),
        results(CpuBackend.VECTOR, dtype, left, right));
  }

  @ParameterizedTest
  @CsvSource({"F32, 1", "F32, 31", "F32, 33", "F32, 32801", "BF16, 1", "BF16, 47", "BF16, 32801"})
  void anySize_hasTheBitsOfJava(DType dtype, int size) {
    Random random = new Random(SEED + size);
    double[] left = random.doubles(size, -10, 10).toArray();
    double[] right = random.doubles(size, -10, 10).toArray();
    assertSame(
        results(CpuBackend.BEST, dtype, left, right),
        results(CpuBackend.VECTOR, dtype, left, right));
  }

  private static List<double[]> trained(CpuBackend backend, DType gradients) {
    AdamWStep step = new AdamWStep(1e-3, 0.9, 0.95, 1e-8, 0.1, 3, 0.5);
    List<double[]> results = new ArrayList<>();
    try (CpuDevice device = CpuDevice.open("cpu:loops", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      List<AdamWTensor> tensors = new ArrayList<>();
      int size = 1;
      for (boolean copies : new boolean[] {false, true}) {
        for (boolean decays : new boolean[] {false, true}) {
          size = size * 7 + 5;
          Random random = new Random(SEED + size);
          Shape shape = Shape.of(size);
          NDArray[] arrays = new NDArray[4];
          for (int i = 0; i < arrays.length; i++) {
            double[] values = random.doubles(size, i == 3 ? 0 : -1, 1).toArray();
            arrays[i] = NDArray.of(device, i == 1 ? gradients : DType.F32, shape, values);
          }
          boolean has = copies && gradients == DType.BF16;
          NDArray copy = has ? NDArray.full(device, DType.BF16, shape, 3) : null;
          tensors.add(new AdamWTensor(arrays[0], arrays[1], arrays[2], arrays[3], copy, decays));
        }
      }
      // Twice, with other numbers: those of the first step are not to stay.
      tensors.getFirst().weight().kernels().adamW(step, tensors);
      AdamWStep next = new AdamWStep(3e-3, 0.8, 0.9, 1e-6, 0.2, 4, 2);
      tensors.getFirst().weight().kernels().adamW(next, tensors);
      for (AdamWTensor tensor : tensors) {
        results.add(tensor.weight().toDoubles());
        results.add(tensor.firstMoment().toDoubles());
        results.add(tensor.secondMoment().toDoubles());
        NDArray copy = tensor.copy();
        if (copy != null) {
          results.add(copy.toDoubles());
        }
      }
    }
    return results;
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16"})
  void adamW_withAndWithoutDecayAndCopies_hasTheBitsOfJava(DType gradients) {
    assertSame(trained(CpuBackend.BEST, gradients), trained(CpuBackend.VECTOR, gradients));
  }
}
