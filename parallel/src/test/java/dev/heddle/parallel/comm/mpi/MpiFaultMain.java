package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.time.Duration;
import java.util.List;

/** Processes of which rank 1 fails, in the way that the argument says, after a few steps. */
final class MpiFaultMain {
  private static final Duration TIMEOUT = Duration.ofSeconds(2);
  private static final int STEPS = 1_000;
  private static final int LAST_GOOD_STEP = 5;

  private MpiFaultMain() {}

  /** Prints one line in each process that hears of the failure. */
  public static void main(String[] arguments) {
    MpiProcess process = MpiProcess.start();
    int exitCode = 0;
    try {
      process.run(
          TIMEOUT,
          RankProgram.onDevice(
              world -> CpuDevice.open("cpu", 1, CpuBackend.REFERENCE),
              (world, device) -> {
                NDArray array = NDArray.full(device, DType.F32, Shape.of(100_000), 1);
                for (int step = 0; step < STEPS; step++) {
                  if (step == LAST_GOOD_STEP && world.rank() == 1) {
                    fail(arguments[0]);
                  }
                  step(world, array);
                }
              }));
    } catch (RankFailedException failure) {
      System.out.println("process " + process.rank() + " ends: " + failure.getMessage());
      System.out.flush();
      process.reported();
      exitCode = 3;
    }
    process.close();
    System.exit(exitCode);
  }

  private static void step(Communicator world, NDArray array) {
    world.allReduce(array, ReduceOp.MAX).await();
    int next = (world.rank() + 1) % world.size();
    int previous = (world.rank() + world.size() - 1) % world.size();
    world
        .exchange(
            List.of(
                Message.send(next, array.slice(0, 0, 50_000)),
                Message.receive(previous, array.slice(0, 50_000, 100_000))))
        .await();
  }

  private static void fail(String how) throws Exception {
    String process = String.valueOf(ProcessHandle.current().pid());
    switch (how) {
      case "throw" -> throw new IllegalStateException("out of luck");
      case "kill" -> new ProcessBuilder("kill", "-9", process).start().waitFor();
      case "stop" -> new ProcessBuilder("kill", "-STOP", process).start().waitFor();
      default -> throw new IllegalArgumentException(how);
    }
  }
}
