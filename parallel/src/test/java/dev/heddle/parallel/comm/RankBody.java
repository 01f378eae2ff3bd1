package dev.heddle.parallel.comm;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;

/** A test's rank program that wants a device and an open memory scope. */
@FunctionalInterface
public interface RankBody {
  void run(Communicator world, Device device) throws Exception;

  /** The program that opens a one-thread device and a scope around this body. */
  default RankProgram program() {
    return RankProgram.onDevice(
        world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE), this::run);
  }
}
