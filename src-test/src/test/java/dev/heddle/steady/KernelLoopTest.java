package dev.heddle.steady;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class KernelLoopTest {
  /** Descriptions of the call; a vector that became an object is 80 bytes for each 40 floats. */
  private static final long HEAP_LIMIT = 1500;

  @Test
  @Timeout(value = 6, unit = TimeUnit.MINUTES)
  void vectorKernels_onceCompiled_makeNoObjectsOfVectors()
      throws IOException, InterruptedException {
    List<String> lines = LoopProgram.run(KernelLoop.class, Long.toString(HEAP_LIMIT));
    assertThat(lines).as("the loop ran").anyMatch(line -> line.startsWith("KERNELS "));
    assertThat(lines)
        .as("bytes a call: %s", String.join(System.lineSeparator(), lines))
        .noneMatch(line -> line.startsWith("KERNEL "));
  }
}
