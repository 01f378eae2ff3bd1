package dev.heddle.train.run;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.train.cli.DeviceKind;
import dev.heddle.train.cli.RankLauncher;
import dev.heddle.train.cli.ThreadLauncher;
import dev.heddle.train.config.RunConfig;
import java.util.Objects;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** A run on GPUs, with what the device of rank 0 has done so far after each step. */
public final class CountedTraining {
  private @Nullable CudaDevice gpu;

  private CountedTraining() {}

  /**
   * Trains {@code steps} steps.
   *
   * @param graph whether steps are recorded and repeated
   * @param stepDone gets what the device did since it was opened whenever a step is reported: from
   *     one to the next, but for the last, one step was begun and one was awaited
   */
  public static void train(
      RunConfig config, int steps, boolean graph, Consumer<CudaCounters> stepDone) {
    CountedTraining counted = new CountedTraining();
    RankDevices devices = counted.new Watched(RankDevices.of(DeviceKind.cuda));
    new TrainingRun(config, TrainingData.open(config), new ThreadLauncher(), devices, graph)
        .train(
            null,
            steps,
            metrics -> stepDone.accept(Objects.requireNonNull(counted.gpu).counters()));
  }

  /** The devices of a run, of which the one that is opened is remembered. */
  private final class Watched implements RankDevices {
    private final RankDevices devices;

    private Watched(RankDevices devices) {
      this.devices = devices;
    }

    @Override
    public String inWords() {
      return devices.inWords();
    }

    @Override
    public RankProgram program(
        RankLauncher launcher, int ranks, RankProgram.OnDevice<Device> body) {
      return devices.program(
          launcher,
          ranks,
          (world, device) -> {
            if (world.rank() == 0) {
              gpu = (CudaDevice) device;
            }
            body.run(world, device);
          });
    }

    @Override
    public Device alone(String name) {
      return devices.alone(name);
    }
  }
}
