package dev.heddle.train.cli;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.nccl.SimulatedNccl;
import dev.heddle.train.run.TrainingApplication;
import java.util.Arrays;

/**
 * The {@code heddle} command on a machine with simulated GPUs, of which each process sees all and
 * which a simulated NCCL joins across processes. At the end each process says what it called.
 */
public final class SimulatedGpuMain {
  /** The exit code of a process whose simulated libraries were misused or not given back. */
  private static final int MISUSED = 99;

  private SimulatedGpuMain() {}

  /** The arguments: how many GPUs the machine has, then the words after {@code heddle}. */
  public static void main(String[] arguments) {
    int gpus = Integer.parseInt(arguments[0]);
    String[] words = Arrays.copyOfRange(arguments, 1, arguments.length);
    int exitCode;
    try (SimulatedGpus machine = SimulatedGpus.install(gpus, SimulatedOptions.lazily());
        NativeLibrary.Substitution cublas = SimulatedCublas.install();
        SimulatedNccl nccl = SimulatedNccl.installAcrossProcesses()) {
      exitCode = HeddleCommand.run(new TrainingApplication(), System.out, System.err, words);
      // At once: processes share their output.
      System.out.print(
          "simulated NCCL: %d sends, %d all-reduces, on GPU %s; complaints %s %s%n"
              .formatted(
                  nccl.calls("ncclSend"),
                  nccl.calls("ncclAllReduce"),
                  nccl.devices(),
                  nccl.complaints(),
                  machine.complaints()));
    } catch (IllegalStateException left) {
      System.out.println("simulated libraries: " + left.getMessage());
      exitCode = MISUSED;
    }
    System.out.flush();
    System.exit(exitCode);
  }
}
