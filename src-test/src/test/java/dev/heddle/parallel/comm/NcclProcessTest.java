package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.comm.mpi.MpiJob;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The conformance suite over two, three and four processes that {@code mpirun} starts, each with a
 * simulated GPU.
 */
class NcclProcessTest {
  @Test
  void conformanceSuite_ofTwoProcesses_passesInBoth() throws Exception {
    passesInEachOf(2);
  }

  @ParameterizedTest
  @ValueSource(ints = {3, 4})
  @Tag("thorough")
  void conformanceSuite_ofMoreProcesses_passesInEachOfThem(int processes) throws Exception {
    passesInEachOf(processes);
  }

  private static void passesInEachOf(int processes) throws Exception {
    String seed = System.getProperty("heddle.seed", String.valueOf(System.nanoTime()));
    MpiJob.Result result =
        new MpiJob(processes).flag("-Dheddle.seed=" + seed).run(NcclProcessMain.class);

    assertThat(result.exitCode()).as("seed " + seed + "\n" + result.output()).isZero();
    for (int rank = 0; rank < processes; rank++) {
      assertThat(result.output())
          .as("seed " + seed)
          .containsPattern("rank " + rank + ": [1-9][0-9]+ passed, 0 failed");
    }
  }
}
