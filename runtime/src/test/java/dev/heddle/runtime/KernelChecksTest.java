package dev.heddle.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What {@code MisuseConformance} does not see; the messages are tested there. */
class KernelChecksTest {
  private MetaDevice device;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    device = MetaDevice.open();
    scope = MemoryScope.open();
  }

  @AfterEach
  void close() {
    scope.close();
    device.close();
  }

  private NDArray array(long... dims) {
    return NDArray.empty(device, DType.F32, dims);
  }

  @Test
  void rowStride_viewsOfRows_isTheirDistance() {
    assertThat(KernelChecks.rowStride(array(2, 3, 4))).isEqualTo(4);
    assertThat(KernelChecks.rowStride(array(7))).isEqualTo(7);
    assertThat(KernelChecks.rowStride(array(2, 3, 9).slice(2, 1, 5))).isEqualTo(9);
    assertThat(KernelChecks.rowStride(array(5, 9).slice(1, 0, 4).slice(0, 2, 3))).isEqualTo(4);
    assertThat(KernelChecks.rowStride(array(1, 4).expand(Shape.of(3, 4)))).isZero();
    assertThat(KernelChecks.rowStride(array(6, 2, 9).slice(0, 1, 3).slice(2, 0, 4))).isEqualTo(9);
    assertThat(KernelChecks.rowStride(array(3, 2, 9).transpose(0, 1))).isEqualTo(-1);
    assertThat(KernelChecks.rowStride(array(2, 3, 4).slice(1, 0, 2))).isEqualTo(-1);
  }

  @Test
  void emptyArrays_anyStrides_countAsContiguous() {
    NDArray x = array(0, 1, 1, 1).expand(Shape.of(0, 5, 1, 4));
    NDArray statistic = array(0, 1, 5);
    NDArray y = array(0, 5, 1, 4);
    KernelChecks.attention(x, x, x, AttentionMask.FULL, 1, y, statistic);
    KernelChecks.attentionBackward(
        y, y, y, y, statistic, x, AttentionMask.FULL, 1, array(0, 5, 1, 4), x, x);
    NDArray a = array(1, 0).expand(Shape.of(3, 0));
    KernelChecks.gemm(a, false, array(4, 0), true, 1, 0, array(3, 4));
  }

  @Test
  void tableType_anotherDtype_isRefused() {
    KernelChecks.tableType("unary", "x", array(3), DType.F32);
    assertThatThrownBy(() -> KernelChecks.tableType("unary", "x", array(3), DType.BF16))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("unary: x is F32, given to the kernels for BF16; use device.kernels(F32)");
  }

  @Test
  void checks_whenMet_allocateNothing() {
    NDArray x = array(8, 6);
    NDArray w = array(5, 6);
    NDArray bias = array(5);
    NDArray y = array(8, 5);
    NDArray before = array(8, 5);
    NDArray heads = array(2, 4, 3, 8);
    NDArray out = array(2, 4, 3, 8);
    NDArray statistic = array(2, 3, 4);
    NDArray row = array(6);
    NDArray sum = array(8, 6);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long rounds = 20_000;
    long allocated = 0;
    // The first round compiles; only the second counts.
    for (int pass = 0; pass < 2; pass++) {
      long start = threads.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < rounds; i++) {
        KernelChecks.linear(x, w, bias, UnaryOperation.GELU, y, before);
        KernelChecks.attention(heads, heads, heads, AttentionMask.CAUSAL, 1, out, statistic);
        KernelChecks.binary(BinaryOperation.ADD, x, row, sum);
        KernelChecks.gemm(x, false, w, true, 1, 0, y);
      }
      allocated = threads.getCurrentThreadAllocatedBytes() - start;
    }
    assertThat(allocated / rounds).isZero();
  }
}
