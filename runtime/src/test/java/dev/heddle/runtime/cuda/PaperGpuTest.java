package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.HostCopy;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class PaperGpuTest {
  private final PaperGpu gpu = PaperGpu.open();
  private final MemoryScope scope = MemoryScope.open();

  @AfterEach
  void close() {
    scope.close();
    gpu.close();
  }

  private NDArray array(long... dims) {
    return NDArray.empty(gpu, DType.F32, Shape.of(dims));
  }

  private PaperCounters counted(Runnable work) {
    PaperCounters before = gpu.counters();
    work.run();
    return gpu.counters().since(before);
  }

  @Test
  void arrays_largerThanAnyMachine_haveAddressesAndReadAsZeros() {
    NDArray large = array(1 << 20, 1 << 20);
    NDArray next = array(1 << 20, 1 << 20);
    assertThat(next.address() - large.address()).isGreaterThanOrEqualTo(1L << 42);
    NDArray x = NDArray.of(gpu, Shape.of(3), 1f, 2f, 3f);
    assertThat(x.toFloats()).containsExactly(0, 0, 0);
    CudaCounters device = gpu.counters().device();
    assertThat(device.bytesToDevice()).isEqualTo(12);
    assertThat(device.bytesToHost()).isEqualTo(12);
    assertThat(device.hostSynchronizations()).isEqualTo(1);
  }

  @Test
  void memory_thatWasUsedBefore_isNotAllocatedAgain() {
    Runnable step =
        () -> {
          try (MemoryScope inside = MemoryScope.open()) {
            NDArray y = array(100, 100);
            y.kernels().sumTo(y, array(100));
          }
        };
    assertThat(counted(step).device().deviceAllocations()).isPositive();
    assertThat(counted(step).device().deviceAllocations()).isZero();
  }

  @Test
  void oneLaunch_readsOperandsOnceAndWritesResultsOnce() {
    NDArray a = array(3, 5);
    NDArray b = array(5);
    NDArray y = array(3, 5);
    PaperCounters counters =
        counted(
            () -> {
              y.kernels().binary(BinaryOperation.ADD, a, b, y);
              y.kernels().addScaled(a, 2, y);
              y.kernels().addScaled(y, 2, y);
            });
    assertThat(counters.kernels("heddle_elementwise_binary_broadcast_f32"))
        .isEqualTo(new KernelTraffic(1, 4 * (15 + 5), 4 * 15));
    assertThat(counters.kernels("heddle_elementwise_add_scaled_f32"))
        .isEqualTo(new KernelTraffic(2, 4 * (15 + 15 + 15), 4 * (15 + 15)));
    assertThat(counters.operators("")).isEqualTo(counters.kernels(""));
    assertThat(counters.device().launches()).isEqualTo(3);
  }

  @Test
  void stretchedOperand_isReadOnce() {
    NDArray x = array(1, 5).expand(Shape.of(1000, 5));
    NDArray y = array(1000, 5);
    assertThat(counted(() -> y.kernels().copy(x, y)).kernels(""))
        .isEqualTo(new KernelTraffic(1, 4 * 5, 4 * 5000));
  }

  @Test
  void sumInParts_alsoMovesTheParts() {
    NDArray x = array(4096, 8);
    NDArray y = array(8);
    PaperCounters counters = counted(() -> y.kernels().sumTo(x, y));
    KernelTraffic first = counters.kernels("heddle_reduction_sum_outer_f32");
    KernelTraffic second = counters.kernels("heddle_reduction_parts_f32");
    assertThat(first.bytesRead()).isEqualTo(4 * 4096 * 8);
    // Parts of 64 rows.
    assertThat(first.bytesWritten()).isEqualTo(64 * 8 * 4);
    assertThat(second).isEqualTo(new KernelTraffic(1, 64 * 8 * 4, 8 * 4));
    assertThat(counters.operators("sumTo")).isEqualTo(new KernelTraffic(1, 4 * 4096 * 8, 8 * 4));
    // Few rows are summed at once.
    assertThat(counted(() -> y.kernels().sumTo(array(8, 8), y)).device().launches()).isEqualTo(1);
  }

  @Test
  void linearWithActivation_isAProductAndAKernel_andOneOperator() {
    NDArray x = array(6, 4);
    NDArray w = array(5, 4);
    NDArray bias = array(5);
    NDArray y = array(6, 5);
    NDArray pre = array(6, 5);
    PaperCounters counters =
        counted(() -> y.kernels().linear(x, w, bias, UnaryOperation.GELU, y, pre));
    assertThat(counters.products()).isEqualTo(1);
    assertThat(counters.kernels("cublasLtMatmul"))
        .isEqualTo(new KernelTraffic(1, 4 * (24 + 20 + 5), 4 * 30));
    assertThat(counters.kernels("heddle_elementwise_unary_f32"))
        .isEqualTo(new KernelTraffic(1, 4 * 30, 4 * 30));
    assertThat(counters.operators())
        .containsOnlyKeys("linear")
        .containsValue(new KernelTraffic(1, 4 * (24 + 20 + 5), 4 * 60));
  }

  @Test
  void products_ofABatch_readWhatAllShareOnce() {
    NDArray a = array(7, 2, 3);
    NDArray shared = array(1, 3, 4).expand(Shape.of(7, 3, 4));
    NDArray c = array(7, 2, 4);
    PaperCounters counters =
        counted(() -> c.kernels().batchedGemm(a, false, shared, false, 1, 1, c));
    assertThat(counters.kernels("cublasGemmStridedBatchedEx_64"))
        .isEqualTo(new KernelTraffic(1, 4 * (42 + 12 + 56), 4 * 56));
    assertThat(counters.operators("batchedGemm")).isEqualTo(counters.kernels(""));
  }

  @Test
  void productWithoutInnerSize_isAnOperatorWithinTheProduct() {
    NDArray c = array(2, 3);
    PaperCounters counters =
        counted(() -> c.kernels().gemm(array(2, 0), false, array(0, 3), false, 1, 0, c));
    assertThat(counters.products()).isZero();
    assertThat(counters.kernels("heddle_movement_fill_b32"))
        .isEqualTo(new KernelTraffic(1, 0, 4 * 6));
    assertThat(counters.operators()).containsOnlyKeys("gemm");
  }

  @Test
  void emptyArrays_launchNothing() {
    NDArray x = array(0, 5);
    PaperCounters counters =
        counted(
            () -> {
              x.kernels().unary(UnaryOperation.EXP, x, x);
              x.kernels().softmax(x, x);
            });
    assertThat(counters.device().launches()).isZero();
    assertThat(counters.kernels()).isEmpty();
  }

  @Test
  void sumOfSquares_waitsOnlyWhereTheHostReadsIt() {
    NDArray x = array(20_000);
    NDArray sum = NDArray.empty(gpu, DType.F64, Shape.of(1));
    PaperCounters onDevice = counted(() -> x.kernels().sumOfSquares(List.of(x), sum));
    assertThat(onDevice.device().hostSynchronizations()).isZero();
    // Two pieces of 16,384 elements, and the table that names the array.
    assertThat(onDevice.kernels("heddle_reduction_squares_f32"))
        .isEqualTo(new KernelTraffic(1, 4 * 20_000 + 24, 16));
    assertThat(onDevice.kernels("heddle_reduction_total_f32"))
        .isEqualTo(new KernelTraffic(1, 16, 8));
    PaperCounters read = counted(() -> x.kernels().sumOfSquares(List.of(x)));
    assertThat(read.device().hostSynchronizations()).isEqualTo(1);
    assertThat(counted(() -> x.kernels().sumOfSquares(List.of(), sum)).device().launches())
        .isEqualTo(1);
  }

  @Test
  void laterCopy_isWaitedForOnce_andLeavesNoGapIfWorkIsBehindIt() {
    NDArray x = array(2);
    Runnable more = () -> x.kernels().scale(x, 2, x);
    HostCopy behindNothing = gpu.copyToHostLater(x.block(), x.byteOffset(), 8);
    assertThat(behindNothing.isDone()).isFalse();
    CudaCounters alone = counted(behindNothing::await).device();
    assertThat(alone.hostSynchronizations()).isEqualTo(1);
    assertThat(alone.trailingWaits()).isZero();

    HostCopy first = gpu.copyToHostLater(x.block(), x.byteOffset(), 8);
    more.run();
    HostCopy second = gpu.copyToHostLater(x.block(), x.byteOffset(), 8);
    CudaCounters ahead = counted(() -> assertThat(first.await().byteSize()).isEqualTo(8)).device();
    assertThat(ahead.hostSynchronizations()).isZero();
    assertThat(ahead.trailingWaits()).isEqualTo(1);
    assertThat(second.isDone()).isFalse();

    gpu.synchronize();
    assertThat(second.isDone()).isTrue();
    CudaCounters there = counted(second::await).device();
    assertThat(there.hostSynchronizations() + there.trailingWaits()).isZero();
    assertThat(gpu.counters().device().bytesToHost()).isEqualTo(3 * 8);
  }

  @Test
  void adamWOfManyTensors_isOneLaunch_whichAlsoReadsWhereTheyLie() {
    NDArray update = NDArray.empty(gpu, DType.F64, Shape.of(StepControl.UPDATE_LENGTH));
    AdamWStep constants = new AdamWStep(0, 0.9, 0.999, 1e-8, 0.01, 1, 1);
    List<AdamWTensor> tensors = List.of(tensor(10_000), tensor(0), tensor(7));
    PaperCounters counters =
        counted(() -> gpu.kernels(DType.F32).adamW(constants, tensors, update));
    assertThat(counters.kernels("heddle_update_adamw_many_f32"))
        .isEqualTo(new KernelTraffic(1, 4 * 4 * 10_007 + 32 + 2 * 64, 3 * 4 * 10_007));
    assertThat(counters.operators("adamW"))
        .isEqualTo(new KernelTraffic(1, 4 * 4 * 10_007 + 32, 3 * 4 * 10_007));
    assertThat(counters.device().bytesToDevice()).isEqualTo(2 * 64);
    List<AdamWTensor> empty = List.of(tensor(0));
    assertThat(counted(() -> gpu.kernels(DType.F32).adamW(constants, empty, update)).kernels())
        .isEmpty();
  }

  private AdamWTensor tensor(long size) {
    return new AdamWTensor(array(size), array(size), array(size), array(size), null, true);
  }

  @Test
  void endOfAStep_isOneLaunch() {
    NDArray control = NDArray.empty(gpu, DType.F64, Shape.of(StepControl.controlLength(3)));
    NDArray state = NDArray.empty(gpu, DType.F64, Shape.of(StepControl.stateLength(3)));
    PaperCounters counters = counted(() -> gpu.kernels(DType.F64).concludeStep(control, state));
    // Of the state it reads the scale, the finite steps and three updates' numbers.
    assertThat(counters.kernels("heddle_step_conclude"))
        .isEqualTo(new KernelTraffic(1, 8 * ((5 + 3) + (2 + 3)), 8 * (5 + 4 * 3)));
    assertThat(counters.device().hostSynchronizations()).isZero();
  }

  @Test
  void localRows_areOneLaunch() {
    NDArray rows = NDArray.empty(gpu, DType.I32, Shape.of(100));
    NDArray local = NDArray.empty(gpu, DType.I64, Shape.of(100));
    assertThat(
            counted(() -> gpu.kernels(DType.F32).localRows(rows, 0, 10, 20, local))
                .kernels("heddle_movement_local_rows"))
        .isEqualTo(new KernelTraffic(1, 4 * 100, 8 * 100));
  }

  @Test
  void gradientsOfALayersParameters_areOneProduct() {
    NDArray dz = array(6, 5);
    NDArray x = array(6, 4);
    NDArray dw = array(5, 4);
    NDArray db = array(5);
    PaperCounters counters = counted(() -> dz.kernels().linearParameterGradients(dz, x, dw, db));
    assertThat(counters.kernels("cublasLtMatmul"))
        .isEqualTo(new KernelTraffic(1, 4 * (30 + 24), 4 * (20 + 5)));
    assertThat(counters.operators("linearParameterGradients")).isEqualTo(counters.kernels(""));
  }

  @Test
  void misuse_isRefusedAsElsewhere() {
    NDArray a = array(4, 6);
    NDArray b = array(5, 3);
    NDArray c = array(4, 3);
    assertThatThrownBy(() -> c.kernels().gemm(a, false, b, false, 1, 0, c))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("gemm: op(a) is [4,6] and op(b) is [5,3]: inner sizes 6 and 5 must be equal");
  }

  @Test
  void kernelThatNobodySaidTheTrafficOf_isRefused() {
    PaperTally tally = new PaperTally();
    assertThatThrownBy(() -> tally.launched("heddle_new_f32"))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("heddle_new_f32");
    assertThatThrownBy(
            () ->
                tally.operator(
                    "sumTo",
                    PaperMoves.NONE,
                    (kernel, scratch) -> PaperTally.unknown("sumTo", kernel),
                    () -> tally.launched("heddle_new_f32")))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("sumTo launches heddle_new_f32");
  }
}
