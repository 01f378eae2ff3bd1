package dev.heddle.parallel.comm.mpi;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Processes that fail: the job ends on its own, and says which rank failed and why. */
class MpiFaultTest {
  private static MpiJob.Result run(String how) throws Exception {
    // mpirun ends the others a second after one is gone, which is short on a busy machine.
    return new MpiJob(3)
        .option("--mca", "odls_base_sigkill_timeout", "10")
        .run(MpiFaultMain.class, how);
  }

  @Test
  void aRankThatThrows_isNamedInEveryProcess_andAllEndThemselves() throws Exception {
    MpiJob.Result result = run("throw");

    assertThat(result.exitCode()).as(result.output()).isEqualTo(3);
    for (int rank = 0; rank < 3; rank++) {
      assertThat(result.output())
          .contains(
              "process "
                  + rank
                  + " ends: rank 1 failed: java.lang.IllegalStateException: out of luck");
    }
  }

  @Test
  void aProcessThatIsKilled_endsTheJob_andTheOthersSayWho() throws Exception {
    MpiJob.Result result = run("kill");

    assertThat(result.exitCode()).as(result.output()).isNotZero();
    assertThat(result.output())
        .containsPattern(
            "process [02] ends: rank 1 failed: .*the process of rank 1 has gone without a word");
  }

  @Test
  void aProcessThatIsStopped_timesOut_andIsNamed() throws Exception {
    MpiJob.Result result = run("stop");

    assertThat(result.exitCode()).as(result.output()).isNotZero();
    assertThat(result.output())
        .containsPattern("process [02] ends: rank [02] failed: .*timed out after 2 s")
        .contains("rank 1 (does not answer: its process is stopped");
  }
}
