package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.comm.mpi.MpiJob;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The conformance suite over processes: a job for each number of them, whose processes run all
 * cases of that many ranks. Jobs differ in how long a message may be, so that long ones are split
 * too.
 */
class MpiConformanceTest {
  @ParameterizedTest
  @CsvSource({"2, 1073741824", "4, 1073741824"})
  void conformanceSuite_overProcesses_passesInEachOfThem(int processes, long chunkBytes)
      throws Exception {
    run(processes, chunkBytes);
  }

  /** More processes than cores wait for each other most of the time. */
  @Tag("thorough")
  @ParameterizedTest
  @CsvSource({"3, 4099", "8, 65536"})
  void conformanceSuite_overOtherNumbersOfProcesses_passesToo(int processes, long chunkBytes)
      throws Exception {
    run(processes, chunkBytes);
  }

  private static void run(int processes, long chunkBytes) throws Exception {
    String seed = System.getProperty("heddle.seed", String.valueOf(System.nanoTime()));
    MpiJob.Result result =
        new MpiJob(processes)
            .flag("-Dheddle.seed=" + seed)
            .run(MpiConformanceMain.class, String.valueOf(chunkBytes));

    assertThat(result.exitCode()).as("seed " + seed + "\n" + result.output()).isZero();
    for (int rank = 0; rank < processes; rank++) {
      // What a process that takes part in hardly any case could say too, is no proof.
      assertThat(result.output())
          .as("seed " + seed)
          .containsPattern("rank " + rank + ": [1-9][0-9]+ passed, 0 failed");
    }
  }
}
