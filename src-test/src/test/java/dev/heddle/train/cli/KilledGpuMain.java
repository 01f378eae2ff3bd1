package dev.heddle.train.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** {@link SimulatedGpuMain}, whose process of rank 1 is killed while the run goes on. */
public final class KilledGpuMain {
  private KilledGpuMain() {}

  /**
   * The arguments: the metrics file, which says when the run has begun, then those of {@link
   * SimulatedGpuMain}.
   */
  public static void main(String[] arguments) {
    if ("1".equals(System.getenv("OMPI_COMM_WORLD_RANK"))) {
      Thread killer = new Thread(() -> killAfterAStep(Path.of(arguments[0])), "killer");
      killer.setDaemon(true);
      killer.start();
    }
    SimulatedGpuMain.main(Arrays.copyOfRange(arguments, 1, arguments.length));
  }

  private static void killAfterAStep(Path metrics) {
    try {
      while (!Files.exists(metrics) || Files.size(metrics) == 0) {
        Thread.sleep(10);
      }
      String pid = Long.toString(ProcessHandle.current().pid());
      new ProcessBuilder("kill", "-9", pid).start().waitFor();
    } catch (IOException | InterruptedException failure) {
      throw new IllegalStateException("the process was not killed", failure);
    }
  }
}
