package dev.heddle.train.run;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.nccl.NcclWorld;
import dev.heddle.parallel.comm.staged.StagedCommunicator;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaReport;
import dev.heddle.train.cli.MissingDeviceException;
import dev.heddle.train.cli.RankLauncher;
import java.util.List;

/**
 * The GPUs of this machine, given out to ranks in turn: those of a process by their number, those
 * of several processes by their place on the host.
 */
final class Gpus implements RankDevices {
  private final List<CudaReport.Gpu> gpus;

  private Gpus(List<CudaReport.Gpu> gpus) {
    this.gpus = gpus;
  }

  /**
   * Finds the GPUs.
   *
   * @throws MissingDeviceException if there is none, with every name that was tried and what to do
   */
  static Gpus find() {
    CudaReport report = CudaReport.look();
    if (report.gpus().isEmpty()) {
      StringBuilder why = new StringBuilder("--device cuda: ");
      why.append(
          report.found() ? "the driver shows no GPU" : "the CUDA driver is " + report.driver());
      for (String attempt : report.attempts()) {
        why.append(System.lineSeparator()).append("  tried ").append(attempt);
      }
      if (!report.remedy().isEmpty()) {
        why.append(System.lineSeparator()).append("  ").append(report.remedy());
      }
      why.append(System.lineSeparator());
      why.append("  Without --device the run computes on this machine's cores.");
      throw new MissingDeviceException(why.toString());
    }
    return new Gpus(report.gpus());
  }

  @Override
  public String inWords() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < gpus.size(); i++) {
      text.append("cuda:").append(i).append(' ').append(gpus.get(i).describe()).append("; ");
    }
    return text.append("ranks exchange arrays ")
        .append(
            NativeLibrary.NCCL.isAvailable()
                ? "by NCCL where each has a GPU of its own, else through main memory"
                : "through main memory, because NCCL is not found")
        .toString();
  }

  /**
   * Where each rank has a GPU of its own and NCCL is there, arrays go from GPU to GPU; else through
   * main memory.
   */
  @Override
  public RankProgram program(RankLauncher launcher, int ranks, RankProgram.OnDevice<Device> body) {
    return world -> {
      int place = launcher.placeOnHost(world.rank());
      boolean own = NativeLibrary.NCCL.isAvailable() && place < gpus.size();
      if (world.size() > 1 && world.allReduce(own ? 1L : 0L, ReduceOp.MIN) == 1) {
        RankProgram.<CudaDevice>onDevice(
                group -> CudaDevice.open(place),
                (group, device) -> NcclWorld.run(group, device, linked -> body.run(linked, device)))
            .run(world);
        return;
      }
      try (StagedCommunicator staged = StagedCommunicator.over(world)) {
        RankProgram.<Device>onDevice(group -> CudaDevice.open(place % gpus.size()), body)
            .run(staged);
      }
    };
  }

  @Override
  public Device alone(String name) {
    return CudaDevice.open(0);
  }
}
