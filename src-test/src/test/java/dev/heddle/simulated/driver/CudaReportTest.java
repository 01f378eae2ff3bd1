package dev.heddle.simulated.driver;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.cuda.CudaReport;
import java.util.List;
import org.junit.jupiter.api.Test;

class CudaReportTest {
  @Test
  void gpusWithMemoryCapabilityAndPeers() {
    SimulatedOptions options = SimulatedOptions.lazily().withMemoryBytes(1L << 30);
    try (SimulatedGpus gpus = SimulatedGpus.install(3, options)) {
      CudaReport report = CudaReport.look();
      assertThat(report.found()).isTrue();
      assertThat(report.driver()).startsWith("CUDA 13.0 at ");
      assertThat(report.remedy()).isEmpty();
      assertThat(report.gpus()).hasSize(3);
      assertThat(report.gpus().get(1).peers()).isEqualTo(List.of(0, 2));
      assertThat(report.gpus().get(1).describe())
          .isEqualTo(
              "Simulated GPU, 1.0 GiB, compute capability 8.0, 4 multiprocessors, reaches the memory"
                  + " of cuda:0, cuda:2");
    }
  }

  @Test
  void driverWithoutGpus_saysWhy() {
    try (SimulatedGpus gpus = SimulatedGpus.install(0, SimulatedOptions.lazily())) {
      CudaReport report = CudaReport.look();
      assertThat(report.found()).isFalse();
      assertThat(report.driver()).endsWith("but it does not start");
      assertThat(report.remedy()).contains("CUDA_ERROR_NO_DEVICE").contains("nvidia-smi");
    }
  }

  @Test
  void oldDriver_saysWhichOneToInstall() {
    SimulatedOptions options = SimulatedOptions.lazily().withDriverVersion(11_040);
    try (SimulatedGpus gpus = SimulatedGpus.install(1, options)) {
      CudaReport report = CudaReport.look();
      assertThat(report.found()).isFalse();
      assertThat(report.driver()).startsWith("CUDA 11.4 at ");
      assertThat(report.remedy()).contains("install NVIDIA driver 525 or newer");
    }
  }
}
