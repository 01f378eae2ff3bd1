package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.bindings.NativeLibrary;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** A machine without a driver: said in full, and harmless. */
class AbsentDriverTest {
  private static void assumeAbsent() {
    Assumptions.assumeFalse(
        NativeLibrary.CUDA.isAvailable(), "this machine has a CUDA driver; nothing is absent");
  }

  @Test
  void open_namesEveryPlaceTriedAndWhatToInstall() {
    assumeAbsent();
    assertThatThrownBy(() -> CudaDevice.open(0))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("CUDA driver is not available")
        .hasMessageContaining("libcuda.so.1")
        .hasMessageContaining("install the NVIDIA driver");
  }

  @Test
  void count_isZero() {
    assumeAbsent();
    assertThat(CudaDriver.isAvailable()).isFalse();
    assertThat(CudaDevice.count()).isZero();
  }

  @Test
  void report_hasTheAttemptsAndTheRemedy() {
    assumeAbsent();
    CudaReport report = CudaReport.look();
    assertThat(report.found()).isFalse();
    assertThat(report.driver()).isEqualTo("not found");
    assertThat(report.attempts()).anyMatch(attempt -> attempt.startsWith("libcuda.so.1"));
    assertThat(report.remedy()).startsWith("install the NVIDIA driver");
    assertThat(report.gpus()).isEmpty();
  }
}
