package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** F32 products whose operands are rounded to bf16: opt-in, and nothing else is rounded. */
class RoundedProductsTest {
  @AfterEach
  void forget() {
    System.clearProperty(CpuBackend.BF16_PRODUCTS_PROPERTY);
  }

  private static CpuDevice open(String rounded, int threads) {
    return open(rounded, threads, CpuBackend.BEST);
  }

  private static CpuDevice open(String rounded, int threads, CpuBackend backend) {
    System.setProperty(CpuBackend.BF16_PRODUCTS_PROPERTY, rounded);
    return CpuDevice.open("cpu:rounded", threads, backend);
  }

  private static NDArray normal(CpuDevice device, int seed, long... dims) {
    NDArray x = NDArray.empty(device, DType.F32, dims);
    RandomKey key = RandomKey.of(seed, "rounded products");
    x.kernels().randomNormal(key, GlobalIndex.whole(x.shape()), 0, 1, x);
    return x;
  }

  private static boolean hasInstructions() {
    return OneDnnLibrary.isAvailable() && OneDnnMatmul.multipliesBf16();
  }

  /** The product of what bf16 holds of the operands, in double precision. */
  private static double[] exact(NDArray a, boolean ta, NDArray b, boolean tb, long m, long n) {
    return ExactProducts.exact(a.cast(DType.BF16), ta, b.cast(DType.BF16), tb, m, n);
  }

  @ParameterizedTest
  @CsvSource({"1, BEST", "2, BEST", "1, ONEDNN", "2, ONEDNN"})
  void operandsAreRounded_sumsAreNot(int threads, CpuBackend backend) {
    assumeTrue(hasInstructions(), "this processor has no bf16 instructions, or oneDNN is absent");
    try (CpuDevice device = open("true", threads, backend);
        MemoryScope scope = MemoryScope.open()) {
      assertThat(device.kernels(DType.F32).name()).contains("products rounded to bf16");
      for (long[] size : new long[][] {{35, 67, 31}, {200, 96, 64}, {96, 500, 128}}) {
        long m = size[0];
        long n = size[1];
        long k = size[2];
        for (int transposes = 0; transposes < 4; transposes++) {
          boolean ta = (transposes & 1) != 0;
          boolean tb = (transposes & 2) != 0;
          NDArray a = normal(device, 1, ta ? k : m, ta ? m : k);
          NDArray b = normal(device, 2, tb ? n : k, tb ? k : n);
          NDArray c = NDArray.empty(device, DType.F32, m, n);
          c.kernels().gemm(a, ta, b, tb, 1, 0, c);
          double[] wanted = exact(a, ta, b, tb, m, n);
          double[] got = c.toDoubles();
          for (int i = 0; i < got.length; i++) {
            assertThat(got[i]).isCloseTo(wanted[i], within(1e-6 * k));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = CpuBackend.class,
      names = {"BEST", "ONEDNN"})
  void linear_addsItsBiasUnrounded_andABatchIsLikeItsProducts(CpuBackend backend) {
    assumeTrue(hasInstructions(), "this processor has no bf16 instructions, or oneDNN is absent");
    try (CpuDevice device = open("true", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = normal(device, 1, 130, 48);
      NDArray w = normal(device, 2, 40, 48);
      NDArray bias = NDArray.full(device, DType.F32, Shape.of(40), 1 + 0x1p-20);
      NDArray y = NDArray.empty(device, DType.F32, 130, 40);
      y.kernels().linear(x, w, bias, UnaryOperation.IDENTITY, y, null);
      double[] wanted = exact(x, false, w, true, 130, 40);
      double[] got = y.toDoubles();
      for (int i = 0; i < got.length; i++) {
        assertThat(got[i]).isCloseTo(wanted[i] + 1 + 0x1p-20, within(1e-5));
      }
      NDArray batch = normal(device, 3, 6, 9, 48);
      NDArray out = NDArray.empty(device, DType.F32, 6, 9, 40);
      NDArray ws = NDArray.empty(device, DType.F32, 6, 40, 48);
      for (int i = 0; i < 6; i++) {
        ws.kernels().copy(w, ws.slice(0, i, i + 1).reshape(40, 48));
      }
      out.kernels().batchedGemm(batch, false, ws, true, 1, 0, out);
      double[] each = exact(batch.reshape(54, 48), false, w, true, 54, 40);
      double[] all = out.toDoubles();
      for (int i = 0; i < all.length; i++) {
        assertThat(all[i]).isCloseTo(each[i], within(1e-5));
      }
    }
  }

  @Test
  void withoutTheProperty_productsAreExact() {
    try (CpuDevice device = CpuDevice.open("cpu:exact", 1, CpuBackend.BEST)) {
      assertThat(device.kernels(DType.F32).name()).doesNotContain("bf16");
    }
    try (CpuDevice device = open("false", 1)) {
      assertThat(device.kernels(DType.F32).name()).doesNotContain("bf16");
    }
  }

  @Test
  void otherValues_areRefused() {
    assumeTrue(OneDnnLibrary.isAvailable(), "oneDNN is absent");
    assertThatThrownBy(() -> open("yes", 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("-Dheddle.cpu.bf16Products=yes: accepted: true, false");
  }
}
