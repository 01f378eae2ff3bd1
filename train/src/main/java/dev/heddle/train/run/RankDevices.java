package dev.heddle.train.run;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.train.cli.DeviceKind;
import dev.heddle.train.cli.RankLauncher;

/** The devices that the ranks of a run compute on, and how arrays on them are communicated. */
interface RankDevices {
  /** The devices of that kind; nothing is opened yet, but what is missing is found. */
  static RankDevices of(DeviceKind kind) {
    return switch (kind) {
      case cpu -> new Processors();
      case cuda -> Gpus.find();
    };
  }

  /** One line for the start of a run; empty if there is nothing to say that is not said already. */
  String inWords();

  /**
   * The program that runs {@code body} on a device of its rank's own. Its world communicates arrays
   * on that device.
   */
  RankProgram program(RankLauncher launcher, int ranks, RankProgram.OnDevice<Device> body);

  /** A device for work that one rank does alone, such as evaluation. */
  Device alone(String name);

  /** Cores. */
  final class Processors implements RankDevices {
    @Override
    public String inWords() {
      return "";
    }

    @Override
    public RankProgram program(
        RankLauncher launcher, int ranks, RankProgram.OnDevice<Device> body) {
      return RankProgram.onDevice(
          world -> open(world, launcher.threads(world.rank(), ranks)), body);
    }

    private static CpuDevice open(Communicator world, int threads) {
      return CpuDevice.open("cpu:" + world.rank(), threads, CpuBackend.BEST);
    }

    @Override
    public Device alone(String name) {
      int cores = Runtime.getRuntime().availableProcessors();
      return CpuDevice.open("cpu:" + name, cores, CpuBackend.BEST);
    }
  }
}
