package dev.heddle.jmh;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.IOException;
import java.io.UncheckedIOException;

/** Our side of a comparison of steps: a {@link StepTrainer}, led over standard input. */
public final class HeddleStepWorker {
  private HeddleStepWorker() {}

  /**
   * Arguments: the model's name, the number of threads, the precision; and {@code ranks} to make
   * each thread a data-parallel rank of its own.
   */
  public static void main(String[] arguments) throws IOException {
    BenchmarkModel model = BenchmarkModel.named(arguments[0]);
    int threads = Integer.parseInt(arguments[1]);
    Precision precision = Precision.labelled(arguments[2]);
    if (arguments.length > 3 && arguments[3].equals("ranks")) {
      LocalWorld.run(threads, world -> rank(world, model, precision));
      return;
    }
    try (StepTrainer trainer = new StepTrainer(model, threads, precision.dtype())) {
      StepProtocol.serve(
          "Heddle on " + trainer.device(),
          trainer::step,
          trainer::optimizerNanos,
          () -> trainer.device().memory().peakLiveBytes());
    }
  }

  /** Rank 0 is led; its word, one number before each step, leads the others. */
  private static void rank(Communicator world, BenchmarkModel model, Precision precision) {
    CpuDevice device = CpuDevice.open("rank" + world.rank(), 1, CpuBackend.BEST);
    try (StepTrainer trainer = new StepTrainer(model, device, precision.dtype(), world);
        MemoryScope lasting = MemoryScope.open()) {
      NDArray more = NDArray.of(device, Shape.of(1), world.rank() == 0 ? 1f : 0f);
      NDArray loss = NDArray.of(device, Shape.of(1), 0f);
      if (world.rank() != 0) {
        while (said(world, more, 0) > 0) {
          sum(world, loss, trainer.step());
        }
        return;
      }
      StepProtocol.serve(
          "Heddle, " + world.size() + " ranks, each on " + device,
          () -> {
            said(world, more, 1);
            return sum(world, loss, trainer.step());
          },
          trainer::optimizerNanos,
          () -> world.size() * device.memory().peakLiveBytes());
      said(world, more, 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static double said(Communicator world, NDArray word, float value) {
    word.writeDoubles(world.rank() == 0 ? value : 0);
    world.allReduce(word, ReduceOp.SUM).await();
    return word.toFloats()[0];
  }

  private static double sum(Communicator world, NDArray loss, double part) {
    loss.writeDoubles(part);
    world.allReduce(loss, ReduceOp.SUM).await();
    return loss.toFloats()[0];
  }
}
