package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class OneDnnMatmulTest {
  @BeforeEach
  void needsTheLibrary() {
    assumeTrue(OneDnnLibrary.isAvailable(), "oneDNN is not found on this machine");
  }

  private static NDArray random(CpuDevice device, DType dtype, long seed, long... dims) {
    Random random = new Random(seed);
    double[] values = new double[Math.toIntExact(Shape.of(dims).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextGaussian();
    }
    return NDArray.of(device, dtype, Shape.of(dims), values);
  }

  private static OneDnnMatmul.Form form(
      DType dtype, long batch, long rows, long columns, long depth, boolean ta, boolean tb) {
    return new OneDnnMatmul.Form(
        dtype,
        DType.F32,
        batch,
        rows,
        columns,
        depth,
        OneDnnMatmul.Steps.of(rows * depth, ta ? rows : depth, ta),
        OneDnnMatmul.Steps.of(depth * columns, tb ? depth : columns, tb),
        OneDnnMatmul.Steps.of(rows * columns, columns, false));
  }

  private static void checkAgainstReference(
      DType dtype, long batch, long rows, long columns, long depth, boolean ta, boolean tb) {
    try (CpuDevice device = CpuDevice.open("matmul", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      NDArray a = random(device, dtype, 1, batch, ta ? depth : rows, ta ? rows : depth);
      NDArray b = random(device, dtype, 2, batch, tb ? columns : depth, tb ? depth : columns);
      NDArray c = NDArray.full(device, DType.F32, Shape.of(batch, rows, columns), Double.NaN);
      OneDnnMatmul.ofThisThread()
          .multiply(
              form(dtype, batch, rows, columns, depth, ta, tb),
              a.address(),
              b.address(),
              c.address());

      NDArray exact = NDArray.empty(device, DType.F64, batch, rows, columns);
      exact.kernels().batchedGemm(a.cast(DType.F64), ta, b.cast(DType.F64), tb, 1, 0, exact);
      double[] wanted = exact.toDoubles();
      double[] found = c.toDoubles();
      for (int i = 0; i < wanted.length; i++) {
        assertThat(found[i]).isCloseTo(wanted[i], org.assertj.core.data.Offset.offset(1e-4));
      }
    }
  }

  @Test
  void f32_everyTransposeAndOddSizes_equalsTheReference() {
    for (boolean ta : new boolean[] {false, true}) {
      for (boolean tb : new boolean[] {false, true}) {
        checkAgainstReference(DType.F32, 1, 1, 1, 1, ta, tb);
        checkAgainstReference(DType.F32, 5, 7, 3, 17, ta, tb);
        checkAgainstReference(DType.F32, 3, 64, 33, 31, ta, tb);
      }
    }
  }

  @Test
  void bf16_whereTheProcessorHasInstructions_equalsTheReference() {
    assumeTrue(OneDnnMatmul.multipliesBf16(), "this processor has no bf16 instructions");
    checkAgainstReference(DType.BF16, 1, 64, 48, 96, false, true);
    checkAgainstReference(DType.BF16, 4, 17, 31, 33, true, false);
  }

  @Test
  void primitives_areKeptByShapeAndBounded() {
    checkAgainstReference(DType.F32, 2, 9, 9, 9, false, false);
    int before = OneDnnMatmul.ofThisThread().keptPrimitives();
    checkAgainstReference(DType.F32, 2, 9, 9, 9, false, false);
    assertThat(OneDnnMatmul.ofThisThread().keptPrimitives()).isEqualTo(before);
    for (int size = 1; size <= 300; size++) {
      checkAgainstReference(DType.F32, 1, size % 20 + 1, size / 20 + 1, 2, false, false);
    }
    assertThat(OneDnnMatmul.ofThisThread().keptPrimitives()).isEqualTo(256);
  }

  @Test
  void aProductThatTheLibraryCannotDo_isRefusedWithItsForm() {
    OneDnnMatmul.Form impossible =
        new OneDnnMatmul.Form(
            DType.F32,
            DType.F32,
            1,
            4,
            4,
            -3,
            OneDnnMatmul.Steps.of(1, 1, false),
            OneDnnMatmul.Steps.of(1, 1, false),
            OneDnnMatmul.Steps.of(1, 1, false));
    assertThatThrownBy(() -> OneDnnMatmul.ofThisThread().multiply(impossible, 64, 64, 64))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("oneDNN: dnnl_m")
        .hasMessageContaining("returned status");
  }
}
