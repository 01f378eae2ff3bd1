package dev.heddle.parallel.component;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import org.junit.jupiter.api.Test;

class LossScalerTest {
  /** Steps as the device takes them: by its kernel, from the scaler's numbers, and back. */
  private static void steps(LossScaler scaler, boolean finite, int count) {
    try (CpuDevice device = CpuDevice.open("cpu:0", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      NDArray control = NDArray.zeros(device, DType.F64, StepControl.controlLength(0));
      NDArray state = NDArray.zeros(device, DType.F64, StepControl.stateLength(0));
      for (int i = 0; i < count; i++) {
        double squares = finite ? 1 : Double.NaN;
        control.writeDoubles(0, 1, squares, 1, scaler.patience());
        state.writeDoubles(scaler.scale(), scaler.finiteSteps(), 0, 0, 0, 0);
        device.kernels(DType.F64).concludeStep(control, state);
        double[] after = state.toDoubles();
        scaler.now(after[StepControl.SCALE], (int) after[StepControl.FINITE_STEPS]);
      }
    }
  }

  @Test
  void adaptiveScale_doublesAfterItsPatience_andHalvesAtOnce() {
    LossScaler scaler = LossScaler.adaptive(8, 3);
    steps(scaler, true, 2);
    assertThat(scaler.scale()).isEqualTo(8);
    steps(scaler, true, 1);
    assertThat(scaler.scale()).isEqualTo(16);
    assertThat(scaler.finiteSteps()).isZero();
    steps(scaler, true, 2);
    steps(scaler, false, 1);
    assertThat(scaler.scale()).isEqualTo(8);
    // The count begins anew after a step that was not finite.
    steps(scaler, true, 2);
    assertThat(scaler.scale()).isEqualTo(8);
    steps(scaler, true, 1);
    assertThat(scaler.scale()).isEqualTo(16);
  }

  @Test
  void adaptiveScale_neverBecomesZeroOrInfinite() {
    LossScaler scaler = LossScaler.adaptive(1, 1);
    steps(scaler, false, 5000);
    assertThat(scaler.scale()).isPositive();
    steps(scaler, true, 5000);
    assertThat(scaler.scale()).isFinite();
  }

  @Test
  void fixedScale_staysWhateverHappens() {
    LossScaler scaler = LossScaler.fixed(3);
    steps(scaler, false, 10);
    steps(scaler, true, 5000);
    scaler.resumeAt(5, 2);
    assertThat(scaler.scale()).isEqualTo(3);
  }

  @Test
  void scaleThatIsNone_isRefused() {
    for (double scale : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
      assertThatThrownBy(() -> LossScaler.fixed(scale))
          .hasMessage("loss scale: got " + scale + ", wanted a finite number above 0; 1 is none");
    }
    assertThatThrownBy(() -> LossScaler.adaptive(1, 0)).hasMessageContaining("wanted at least 1");
  }
}
