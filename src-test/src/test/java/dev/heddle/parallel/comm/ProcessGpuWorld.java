package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;
import dev.heddle.parallel.comm.nccl.NcclWorld;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.ReferenceGpuKernels;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.nccl.SimulatedNccl;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The world of simulated GPUs, a process each, that meet over MPI and communicate by a simulated
 * NCCL. In {@link NcclProcessMain}.
 */
final class ProcessGpuWorld implements World {
  /** The GPU of this process's rank, while a run goes on. */
  private static @Nullable CudaDevice gpu;

  private static CudaDevice gpu() {
    CudaDevice opened = gpu;
    if (opened == null) {
      throw new IllegalStateException("no run is going on");
    }
    return opened;
  }

  @Override
  @SuppressWarnings("try") // the simulations are there to be installed
  public void run(int rankCount, Duration timeout, RankProgram program) {
    // A process may hear at another time than its peers that a run has failed, and go on: what it
    // then calls must find the GPUs still there.
    try (SimulatedGpus gpus = SimulatedGpus.install(rankCount, SimulatedOptions.lazily());
        SimulatedNccl nccl = SimulatedNccl.installAcrossProcesses()) {
      MpiConformanceWorld.instance()
          .run(
              rankCount,
              timeout,
              control -> {
                try (CudaDevice device = ReferenceGpuKernels.open(control.rank())) {
                  gpu = device;
                  NcclWorld.run(control, device, timeout, program);
                } finally {
                  gpu = null;
                }
              });
    }
  }

  @Override
  @SuppressWarnings("try") // the scope is there to be open
  public RankProgram program(RankBody body) {
    return world -> {
      try (MemoryScope scope = MemoryScope.open()) {
        body.run(world, gpu());
      }
    };
  }

  @Override
  public List<Integer> ranksHere(int rankCount) {
    return MpiConformanceWorld.instance().ranksHere(rankCount);
  }
}
