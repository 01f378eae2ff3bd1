package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.comm.nccl.NcclWorld;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.ReferenceGpuKernels;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.nccl.SimulatedNccl;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;

/** The world of simulated GPUs, a thread each, that communicate by a simulated NCCL. */
final class SimulatedGpuWorld implements World {
  private static final ThreadLocal<CudaDevice> DEVICE = new ThreadLocal<>();

  private final SimulatedOptions options;

  SimulatedGpuWorld(SimulatedOptions options) {
    this.options = options;
  }

  static World lazy() {
    return new SimulatedGpuWorld(SimulatedOptions.lazily());
  }

  static World eager() {
    return new SimulatedGpuWorld(SimulatedOptions.eagerly());
  }

  /** The GPU of the rank whose thread calls. */
  static CudaDevice device() {
    return DEVICE.get();
  }

  @Override
  @SuppressWarnings("try") // the simulations are there to be installed
  public void run(int rankCount, Duration timeout, RankProgram program) {
    try (SimulatedGpus gpus = SimulatedGpus.install(rankCount, options);
        SimulatedNccl nccl = SimulatedNccl.install()) {
      LocalWorld.builder(rankCount)
          .timeout(timeout)
          .run(
              control -> {
                try (CudaDevice device = ReferenceGpuKernels.open(control.rank())) {
                  DEVICE.set(device);
                  NcclWorld.run(control, device, timeout, program);
                } finally {
                  DEVICE.remove();
                }
              });
    }
  }

  @Override
  @SuppressWarnings("try") // the scope is there to be open
  public RankProgram program(RankBody body) {
    return world -> {
      try (MemoryScope scope = MemoryScope.open()) {
        body.run(world, device());
      }
    };
  }

  @Override
  public List<Integer> ranksHere(int rankCount) {
    return IntStream.range(0, rankCount).boxed().toList();
  }
}
