package dev.heddle.simulated.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Attention of every head size that has kernels of its own, and which kernels serve what. */
class CudaAttentionTest {
  @RegisterExtension
  static final SimulatedCuda CUDA =
      new SimulatedCuda(
          SimulatedOptions.lazily(),
          SimulatedCuda.order(Launch.Order.RANDOM, true),
          SimulatedCuda.order(Launch.Order.REVERSED, false));

  /**
   * One problem with several tiles of queries and keys, the last ones not full.
   *
   * @param kernels what the names of the kernels contain that it must be computed by
   */
  record Problem(
      DType dtype,
      int batch,
      int queries,
      int keys,
      int heads,
      int keyHeads,
      int headSize,
      AttentionMask mask,
      String kernels) {}

  static Stream<Problem> problems() {
    AttentionMask full = AttentionMask.FULL;
    AttentionMask causal = AttentionMask.CAUSAL;
    AttentionMask later = new AttentionMask(true, 50, 0);
    AttentionMask hidden = new AttentionMask(true, 0, 70);
    return Stream.of(
        new Problem(DType.BF16, 1, 130, 130, 2, 1, 32, causal, "mma_forward_32"),
        new Problem(DType.BF16, 2, 70, 150, 4, 2, 64, full, "mma_forward_64"),
        new Problem(DType.BF16, 1, 100, 150, 2, 2, 64, later, "mma_forward_64"),
        new Problem(DType.BF16, 1, 129, 129, 1, 1, 128, causal, "mma_forward_128"),
        new Problem(DType.BF16, 1, 77, 90, 3, 1, 80, full, "mma_forward_128"),
        new Problem(DType.BF16, 1, 100, 60, 1, 1, 24, hidden, "mma_forward_32"),
        new Problem(DType.BF16, 1, 5, 3, 1, 1, 128, full, "mma_forward_128"),
        new Problem(DType.BF16, 1, 40, 40, 1, 1, 60, causal, "attention_forward_64_bf16"),
        new Problem(DType.BF16, 1, 40, 40, 1, 1, 136, causal, "attention_forward_256_bf16"),
        new Problem(DType.F32, 1, 70, 90, 2, 1, 128, later, "attention_forward_128_f32"),
        new Problem(DType.F32, 1, 40, 50, 2, 1, 200, full, "attention_forward_256_f32"),
        new Problem(DType.F32, 1, 33, 33, 1, 1, 256, causal, "attention_forward_256_f32"),
        new Problem(DType.F64, 1, 40, 50, 2, 1, 100, causal, "attention_forward_128_f64"));
  }

  private static NDArray normal(Device device, DType dtype, int number, Shape shape) {
    NDArray x = NDArray.empty(device, dtype, shape);
    RandomKey key = RandomKey.of(number, "attention");
    device.kernels(dtype).randomNormal(key, GlobalIndex.whole(shape), 0, 1, x);
    return x;
  }

  /** Results and gradients; inputs are those of {@code rounded}, or rounded to it. */
  private static List<double[]> compute(Device device, DType dtype, DType rounded, Problem p) {
    try (MemoryScope scope = MemoryScope.open()) {
      Shape queryShape = Shape.of(p.batch(), p.queries(), p.heads(), p.headSize());
      Shape keyShape = Shape.of(p.batch(), p.keys(), p.keyHeads(), p.headSize());
      NDArray q = normal(device, rounded, 1, queryShape).cast(dtype);
      NDArray k = normal(device, rounded, 2, keyShape).cast(dtype);
      NDArray v = normal(device, rounded, 3, keyShape).cast(dtype);
      NDArray dout = normal(device, rounded, 4, queryShape).cast(dtype);
      NDArray out = NDArray.empty(device, dtype, queryShape);
      NDArray logSumExp =
          NDArray.empty(device, dtype.accumulation(), p.batch(), p.heads(), p.queries());
      NDArray dq = NDArray.empty(device, dtype, queryShape);
      NDArray dk = NDArray.empty(device, dtype, keyShape);
      NDArray dv = NDArray.empty(device, dtype, keyShape);
      double scale = 1 / Math.sqrt(p.headSize());
      var kernels = device.kernels(dtype);
      kernels.attention(q, k, v, p.mask(), scale, out, logSumExp);
      kernels.attentionBackward(q, k, v, out, logSumExp, dout, p.mask(), scale, dq, dk, dv);
      List<double[]> results = new ArrayList<>();
      for (NDArray array : List.of(out, logSumExp, dq, dk, dv)) {
        results.add(array.toDoubles());
      }
      return results;
    }
  }

  @ParameterizedTest
  @MethodSource("problems")
  void everyHeadSize_matchesTheReferenceInAnyOrderOfWarps(Problem problem) {
    double tolerance =
        switch (problem.dtype()) {
          case F64 -> 1e-13;
          case F32 -> 4e-5;
          default -> 0x1p-5;
        };
    List<double[]> wanted;
    try (CpuDevice cpu = CpuDevice.open("control", 1, CpuBackend.REFERENCE)) {
      wanted = compute(cpu, DType.F64, problem.dtype(), problem);
    }
    long before = launches(problem.kernels());
    List<double[]> got;
    try (CudaDevice device = CudaDevice.open(0)) {
      got = compute(device, problem.dtype(), problem.dtype(), problem);
    }
    assertThat(launches(problem.kernels()) - before).isEqualTo(1);
    for (int i = 0; i < wanted.size(); i++) {
      assertClose(got.get(i), wanted.get(i), tolerance, "result " + i);
    }
    try (CudaDevice device = CudaDevice.open(1)) {
      List<double[]> again = compute(device, problem.dtype(), problem.dtype(), problem);
      for (int i = 0; i < got.size(); i++) {
        assertThat(again.get(i)).as("bits of result %s", i).isEqualTo(got.get(i));
      }
    }
  }

  private static long launches(String name) {
    return CUDA.gpus().counters().launches().entrySet().stream()
        .filter(entry -> entry.getKey().contains(name))
        .mapToLong(Map.Entry::getValue)
        .sum();
  }

  private static void assertClose(double[] got, double[] wanted, double tolerance, String what) {
    double sum = 0;
    for (double value : wanted) {
      sum += Double.isInfinite(value) ? 0 : value * value;
    }
    double scale = Math.sqrt(sum / Math.max(1, wanted.length));
    for (int i = 0; i < wanted.length; i++) {
      double bound = tolerance * (Math.abs(wanted[i]) + scale);
      boolean close = got[i] == wanted[i] || Math.abs(got[i] - wanted[i]) <= bound;
      assertThat(close)
          .as("%s, element %s: %s, wanted %s within %s", what, i, got[i], wanted[i], bound)
          .isTrue();
    }
  }

  @Test
  void headSizesBeyondTheLargest_areRefused() {
    try (CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray q = NDArray.zeros(device, DType.F32, 1, 2, 1, 257);
      NDArray out = NDArray.zeros(device, DType.F32, 1, 2, 1, 257);
      NDArray logSumExp = NDArray.zeros(device, DType.F32, 1, 1, 2);
      assertThatThrownBy(
              () ->
                  device
                      .kernels(DType.F32)
                      .attention(q, q, q, AttentionMask.FULL, 1, out, logSumExp))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("attention: head size 257 in F32 on cuda:0; wanted at most 256");
    }
  }
}
