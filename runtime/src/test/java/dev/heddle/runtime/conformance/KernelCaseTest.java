package dev.heddle.runtime.conformance;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The conformance suite must be able to fail: each kind of wrong kernel is caught. */
class KernelCaseTest {
  private CpuDevice one;
  private CpuDevice two;
  private CpuDevice control;

  @BeforeEach
  void open() {
    one = CpuDevice.open("one", 1, CpuBackend.REFERENCE);
    two = CpuDevice.open("two", 2, CpuBackend.REFERENCE);
    control = CpuDevice.open("control", 1, CpuBackend.REFERENCE);
  }

  @AfterEach
  void close() {
    one.close();
    two.close();
    control.close();
  }

  private KernelCase kernelCase() {
    return new KernelCase(List.of(one, two), control, DType.F32, 1e-5, "case")
        .input(Placement.PADDED_ROWS, 3, 7)
        .output(Placement.PADDED_ROWS, 3, 7);
  }

  private static boolean underTest(NDArray[] arguments) {
    return arguments[0].dtype() == DType.F32;
  }

  @Test
  void check_rightKernel_passes() {
    assertThatCode(() -> kernelCase().check((kernels, a) -> kernels.copy(a[0], a[1])))
        .doesNotThrowAnyException();
  }

  @Test
  void check_wrongValue_isCaught() {
    KernelCase.Call wrong =
        (kernels, a) -> {
          kernels.copy(a[0], a[1]);
          if (underTest(a)) {
            NDArray element = a[1].slice(0, 2, 3).slice(1, 6, 7);
            kernels.scale(element, 1.001, element);
          }
        };
    assertThatThrownBy(() -> kernelCase().check(wrong))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("case in F32 (replay with -Dheddle.seed=")
        .hasMessageContaining("argument 1 [3,7] (PADDED_ROWS)")
        .hasMessageContaining("element 20 is ");
  }

  /** What rounding 0.1 + 0.2 - 0.3 can cost is more than the sum, yet right as such sums go. */
  @Test
  void terms_sumThatCancels_isHeldToTheSizeOfSuchSums() {
    KernelCase.Call rounded = sumOffBy(1e-7);
    assertThatThrownBy(() -> cancelling().check(rounded)).isInstanceOf(AssertionError.class);
    assertThatCode(() -> cancelling().terms(3).check(rounded)).doesNotThrowAnyException();
    assertThatThrownBy(() -> cancelling().terms(3).check(sumOffBy(1e-3)))
        .isInstanceOf(AssertionError.class);
  }

  private static KernelCase.Call sumOffBy(double error) {
    return (kernels, a) -> {
      kernels.sumTo(a[0], a[1]);
      if (underTest(a)) {
        kernels.addScaled(a[0].slice(0, 0, 1), error, a[1]);
      }
    };
  }

  private KernelCase cancelling() {
    return new KernelCase(List.of(one, two), control, DType.F32, 1e-5, "case")
        .input(Placement.CONTIGUOUS, Shape.of(3), 0.1, 0.2, -0.3)
        .output(Placement.CONTIGUOUS, 1);
  }

  @Test
  void check_elementNotWritten_isCaught() {
    assertThatThrownBy(
            () ->
                kernelCase()
                    .check(
                        (kernels, a) -> {
                          if (underTest(a)) {
                            kernels.copy(a[0].slice(0, 0, 2), a[1].slice(0, 0, 2));
                          } else {
                            kernels.copy(a[0], a[1]);
                          }
                        }))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("element 14 is NaN");
  }

  @Test
  void check_paddingWritten_isCaught() {
    assertThatThrownBy(
            () ->
                kernelCase()
                    .check(
                        (kernels, a) -> {
                          if (underTest(a)) {
                            a[1].segment().fill((byte) 0);
                          }
                          kernels.copy(a[0], a[1]);
                        }))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("inputs and padding of argument 1");
  }

  @Test
  void check_inputWritten_isCaught() {
    assertThatThrownBy(
            () ->
                kernelCase()
                    .check(
                        (kernels, a) -> {
                          kernels.copy(a[0], a[1]);
                          if (underTest(a)) {
                            kernels.fill(a[0].slice(1, 0, 1), 0);
                          }
                        }))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("inputs and padding of argument 0");
  }

  @Test
  void check_otherBitsWithTwoThreads_isCaught() {
    assertThatThrownBy(
            () ->
                new KernelCase(List.of(one, two), control, DType.F32, 1e-5, "case")
                    .input(Placement.CONTIGUOUS, 9)
                    .output(Placement.CONTIGUOUS, 9)
                    .check(
                        (kernels, a) -> {
                          kernels.unary(UnaryOperation.EXP, a[0], a[1]);
                          if (a[0].device() == two) {
                            kernels.scale(a[1], 1 + 1e-7, a[1]);
                          }
                        }))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("must have the same bits");
  }
}
