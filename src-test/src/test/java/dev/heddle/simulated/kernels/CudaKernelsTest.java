package dev.heddle.simulated.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaGraph;
import dev.heddle.runtime.cuda.CudaKernels;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the CUDA kernels promise beyond the conformance suite. */
class CudaKernelsTest {
  private static final RandomKey KEY = RandomKey.of(3, "cuda");

  @RegisterExtension
  static final SimulatedCuda CUDA =
      new SimulatedCuda(
          SimulatedOptions.lazily(),
          SimulatedCuda.order(Launch.Order.RANDOM, false),
          SimulatedCuda.order(Launch.Order.ORDINARY, false));

  private CudaDevice device;
  private CpuDevice cpu;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    device = CudaDevice.open(0);
    cpu = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
    scope = MemoryScope.open();
  }

  @AfterEach
  void close() {
    scope.close();
    cpu.close();
    device.close();
  }

  private NDArray normal(DType dtype, int number, long... dims) {
    NDArray x = NDArray.empty(device, dtype, dims);
    GlobalIndex index = GlobalIndex.whole(x.shape());
    device.kernels(dtype).randomNormal(KEY.with(number), index, 0, 1, x);
    return x;
  }

  private NDArray positive(DType dtype, int number, long... dims) {
    NDArray x = NDArray.empty(device, dtype, dims);
    GlobalIndex index = GlobalIndex.whole(x.shape());
    device.kernels(dtype).randomUniform(KEY.with(number), index, 0.01, 1, x);
    return x;
  }

  // ---- random

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F64"})
  void uniformAndDropout_haveTheBitsOfTheCpu(DType dtype) {
    Shape shape = Shape.of(37, 101);
    GlobalIndex index = new GlobalIndex((1L << 40) + 3, 1009, 1);
    NDArray x = NDArray.empty(device, dtype, shape);
    NDArray expected = NDArray.empty(cpu, dtype, shape);
    device.kernels(dtype).randomUniform(KEY, index, -0.3, 0.7, x);
    cpu.kernels(dtype).randomUniform(KEY, index, -0.3, 0.7, expected);
    assertThat(x.toDoubles()).isEqualTo(expected.toDoubles());
    // 0.75 / (1 - 0.25) is exactly 1, divided or multiplied by the inverse.
    NDArray ones = NDArray.full(device, dtype, shape, 0.75);
    device.kernels(dtype).dropout(KEY, index, 0.25, ones, x);
    cpu.kernels(dtype).dropout(KEY, index, 0.25, NDArray.full(cpu, dtype, shape, 0.75), expected);
    assertThat(x.toDoubles()).isEqualTo(expected.toDoubles());
  }

  @Test
  void normal_isThatOfTheCpuToRounding() {
    Shape shape = Shape.of(4001);
    NDArray x = NDArray.empty(device, DType.F64, shape);
    NDArray expected = NDArray.empty(cpu, DType.F64, shape);
    device.kernels(DType.F64).randomNormal(KEY, GlobalIndex.whole(shape), 0, 1, x);
    cpu.kernels(DType.F64).randomNormal(KEY, GlobalIndex.whole(shape), 0, 1, expected);
    double[] got = x.toDoubles();
    double[] wanted = expected.toDoubles();
    // Java's angle is rounded (up to 4e-16), ours is exact; the radius is at most 6.7.
    for (int i = 0; i < got.length; i++) {
      assertThat(got[i]).isCloseTo(wanted[i], within(5e-15));
    }
  }

  // ---- the optimizer

  @Test
  void adamWOfManyTensors_isOneLaunchThatReadsNothingBack() {
    List<AdamWTensor> tensors = new ArrayList<>();
    for (int size : new int[] {1, 8193, 0, 100}) {
      NDArray x = normal(DType.F32, size, size);
      NDArray second = positive(DType.F32, size + 1, size);
      tensors.add(new AdamWTensor(x, x.copy(), x.copy(), second, null, size % 2 == 0));
    }
    NDArray update = NDArray.of(device, DType.F64, Shape.of(4), 1, 1e-2, 3, 0.5);
    CudaCounters before = device.counters();
    AdamWStep constants = new AdamWStep(0, 0.9, 0.95, 1e-8, 0.1, 1, 0);
    device.kernels(DType.F32).adamW(constants, tensors, update);
    CudaCounters did = device.counters().since(before);
    assertThat(did.launches()).isEqualTo(1);
    assertThat(did.hostSynchronizations()).isZero();
  }

  // ---- what a step costs

  private final class Step implements Runnable {
    private final NDArray x = normal(DType.F32, 1, 40, 96);
    private final NDArray weight = normal(DType.F32, 2, 96);
    private final NDArray y = NDArray.zeros(device, DType.F32, 40, 96);
    private final NDArray mean = NDArray.zeros(device, DType.F32, 40);
    private final NDArray rstd = NDArray.zeros(device, DType.F32, 40);
    private final NDArray sums = NDArray.zeros(device, DType.F32, 96);
    private final NDArray rows = NDArray.of(device, Shape.of(5), 7L, 0L, -1L, 7L, 39L);
    private final NDArray picked = NDArray.zeros(device, DType.F32, 5, 96);
    private final NDArray q = normal(DType.F32, 3, 2, 33, 4, 16);
    private final NDArray kv = normal(DType.F32, 4, 2, 33, 2, 16);
    private final NDArray out = NDArray.zeros(device, DType.F32, 2, 33, 4, 16);
    private final NDArray logSumExp = NDArray.zeros(device, DType.F32, 2, 4, 33);
    private final NDArray dq = NDArray.zeros(device, DType.F32, 2, 33, 4, 16);
    private final NDArray dk = NDArray.zeros(device, DType.F32, 2, 33, 2, 16);
    private final NDArray dv = NDArray.zeros(device, DType.F32, 2, 33, 2, 16);

    @Override
    public void run() {
      CudaKernels kernels = (CudaKernels) device.kernels(DType.F32);
      kernels.layerNorm(x, weight, null, 1e-5, y, mean, rstd);
      kernels.unary(UnaryOperation.GELU, y, y);
      kernels.binary(BinaryOperation.ADD, y, weight, y);
      kernels.gatherRows(y, rows, picked);
      kernels.scatterAddRows(picked, rows, y);
      kernels.layerNormBackward(x, weight, mean, rstd, y, null, sums, weight);
      kernels.sumTo(y, sums);
      kernels.softmax(y, y);
      AttentionMask mask = AttentionMask.CAUSAL;
      kernels.attention(q, kv, kv, mask, 0.25, out, logSumExp);
      kernels.attentionBackward(q, kv, kv, out, logSumExp, out, mask, 0.25, dq, dk, dv);
      kernels.adamW(new AdamWStep(0.1, 0.9, 0.99, 1e-8, 0, 1, 1), q, dq, out, dq.copy(), null);
    }

    private List<NDArray> results() {
      return List.of(weight, y, mean, rstd, sums, picked, q, out, logSumExp, dq, dk, dv);
    }
  }

  @Test
  void steadyStep_neitherWaitsNorAllocates() {
    try (MemoryScope arrays = MemoryScope.open()) {
      Step step = new Step();
      for (int i = 0; i < 2; i++) {
        try (MemoryScope scratch = MemoryScope.open()) {
          step.run();
        }
      }
      CudaCounters before = device.counters();
      try (MemoryScope scratch = MemoryScope.open()) {
        step.run();
      }
      CudaCounters spent = device.counters().since(before);
      assertThat(spent.hostSynchronizations()).isZero();
      assertThat(spent.deviceAllocations()).isZero();
      assertThat(spent.bytesToDevice()).isZero();
      assertThat(spent.bytesToHost()).isZero();
      // 11 calls and a copy; two of them take three launches.
      assertThat(spent.launches()).isEqualTo(16);
    }
  }

  @Test
  void stepAsAGraph_hasTheBitsOfTheStep() {
    List<double[]> eager = new ArrayList<>();
    try (MemoryScope arrays = MemoryScope.open()) {
      Step step = new Step();
      for (int i = 0; i < 3; i++) {
        try (MemoryScope scratch = MemoryScope.open()) {
          step.run();
        }
      }
      step.results().forEach(array -> eager.add(array.toDoubles()));
    }
    try (MemoryScope arrays = MemoryScope.open()) {
      Step step = new Step();
      Runnable scoped =
          () -> {
            try (MemoryScope scratch = MemoryScope.open()) {
              step.run();
            }
          };
      scoped.run();
      try (CudaGraph graph = device.capture(scoped)) {
        graph.launch();
        graph.launch();
        device.synchronize();
      }
      for (int i = 0; i < eager.size(); i++) {
        assertThat(step.results().get(i).toDoubles()).isEqualTo(eager.get(i));
      }
    }
  }

  // ---- misuse

  @Test
  void rowsOutOfRange_leaveTheOthersAsTheyShouldBe() {
    NDArray x = normal(DType.F32, 1, 4, 3);
    NDArray rows = NDArray.of(device, Shape.of(3), 1L, 4L, -1L);
    NDArray y = NDArray.full(device, DType.F32, Shape.of(3, 3), 5);
    device.kernels(DType.F32).gatherRows(x, rows, y);
    assertThatThrownBy(device::synchronize)
        .isInstanceOf(IndexOutOfBoundsException.class)
        .hasMessageStartingWith("gatherRows: rows[1] is 4, but x has 4 rows");
    double[] values = x.toDoubles();
    assertThat(y.toDoubles()).containsExactly(values[3], values[4], values[5], 0, 0, 0, 0, 0, 0);
  }

  @Test
  void rowOutOfRange_isToldByTheNextGather() {
    NDArray x = normal(DType.F32, 1, 4, 3);
    NDArray rows = NDArray.of(device, Shape.of(1), 4L);
    NDArray y = NDArray.zeros(device, DType.F32, 1, 3);
    device.kernels(DType.F32).gatherRows(x, rows, y);
    // The GPU runs, but nobody asks the device.
    device.stream().synchronize();
    NDArray good = NDArray.of(device, Shape.of(1), 2L);
    assertThatThrownBy(() -> device.kernels(DType.F32).gatherRows(x, good, y))
        .isInstanceOf(IndexOutOfBoundsException.class)
        .hasMessageStartingWith("gatherRows: rows[0] is 4");
    assertThat(y.toDoubles()).isEqualTo(x.slice(0, 2, 3).toDoubles());
  }

  @Test
  void anotherTablesArrays_areRefused() {
    NDArray x = normal(DType.F64, 1, 3);
    assertThatThrownBy(() -> device.kernels(DType.F32).scale(x, 2, x))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("scale: x is F64, given to the kernels for F32; use device.kernels(F64)");
  }

  @Test
  void integerTables_moveAndRefuseToCompute() {
    NDArray x = NDArray.of(device, Shape.of(3, 2), 1, 2, 3, 4, 5, 6);
    NDArray y = NDArray.empty(device, DType.I32, 2, 2);
    device.kernels(DType.I32).gatherRows(x, NDArray.of(device, Shape.of(2), 2L, 0L), y);
    assertThat(y.toLongs()).containsExactly(5, 6, 1, 2);
    assertThatThrownBy(() -> device.kernels(DType.I32).scale(x, 2, x))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("scale: x is I32; wanted a floating type: F32, F64 or BF16");
  }
}
