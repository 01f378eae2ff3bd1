package dev.heddle.train.report;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.cuda.CudaDeviceProperties;
import dev.heddle.runtime.cuda.CudaReport;
import java.util.List;
import org.junit.jupiter.api.Test;

class MachineTest {
  @Test
  void cuda_absent_hasEachPlaceTriedAndTheRemedy() {
    CudaReport report =
        new CudaReport(
            false, "not found", List.of("libcuda.so.1: no such file"), "install it", List.of());
    assertThat(Machine.cuda(report))
        .containsExactly(
            new Machine.Finding(
                "CUDA driver",
                "not found",
                false,
                "install it",
                List.of("libcuda.so.1: no such file")));
  }

  @Test
  void cuda_present_hasALineForEachGpu() {
    CudaDeviceProperties gpu =
        new CudaDeviceProperties(1, "A GPU", 24L << 30, 89, 128, 1024, 49152, 101376, true);
    CudaReport report =
        new CudaReport(
            true,
            "CUDA 13.0 at libcuda.so.1",
            List.of(),
            "",
            List.of(new CudaReport.Gpu(gpu, List.of(0))));
    assertThat(Machine.cuda(report))
        .containsExactly(
            new Machine.Finding("CUDA driver", "CUDA 13.0 at libcuda.so.1", true, "", List.of()),
            new Machine.Finding(
                "cuda:1",
                "A GPU, 24.0 GiB, compute capability 8.9, 128 multiprocessors, reaches the memory"
                    + " of cuda:0",
                true,
                "",
                List.of()));
  }
}
