package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.processes.HeddleProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Training over processes is that of one rank, and bit for bit that over threads, under every way
 * of laying out a component and every placement between components. A job of processes trains under
 * one layout after the other, since starting them takes most of the time.
 */
class MpiParityTest {
  private static final double TOLERANCE = 1e-9;

  @TempDir Path folder;

  private void assertParity(String... layouts) throws Exception {
    List<String> words = new ArrayList<>(List.of(folder.toString()));
    words.addAll(List.of(layouts));
    HeddleProcess.Result result =
        HeddleProcess.runMainIn(
            Layouts.of(layouts[0]).ranks(),
            MpiParityMain.class.getName(),
            words.toArray(String[]::new));
    assertThat(result.exitCode()).as(result.output()).isZero();
    for (String layout : layouts) {
      Outcome processes = MpiParityMain.read(folder, layout);
      processes.assertReplicasAgree(layout);
      Experiment experiment = MpiParityMain.experiment(layout);
      processes.assertEqualTo(experiment.onOneRank().run(), TOLERANCE, layout + " of one rank");
      processes.assertEqualTo(experiment.run(), 0, layout + " over threads");
    }
  }

  @Test
  void twoProcesses_onWhichComponentsAreColocated() throws Exception {
    assertParity(
        "dp2@0-1 | tp2@0-1",
        "tp2@0-1 | dp2@0-1",
        "dp2@0-1 | tp2sp@0-1",
        "dp2@0-1 | cp2@0-1",
        "dp2@0-1 | cp2all-gather@0-1",
        "dp2@0-1 | cp2all-to-all@0-1",
        "dp2@0-1 | pp2@0-1",
        "dp2z@0-1 | dp2z@0-1",
        "tp1@0 | tp1@1",
        "dp2@0-1 | tp1@1 | cp2@0-1");
  }

  @Test
  void fourProcesses_onWhichComponentsAreApart_shareSomeRanks_orAreThree() throws Exception {
    assertParity(
        "dp2@0-1 | tp2@2-3",
        "dp2@0-1 | pp2@2-3",
        "dp3@0-2 | tp2@2-3",
        "dp3@0-2 | cp2@2-3",
        "tp2sp.dp2z@0-3 | tp2sp.dp2z@0-3",
        "dp2@0-1 | cp2.pp2@0-3",
        "dp2@0-1 | tp1@2 | tp2@2-3",
        "tp2@0-1 | dp2@1-2 | pp2@2-3");
  }
}
