package dev.heddle.parallel.comm;

/** The conformance suite over a simulated NCCL between simulated GPUs with lazy streams. */
class NcclRandomProgramTest extends RandomProgramConformance {
  @Override
  World world() {
    return SimulatedGpuWorld.lazy();
  }
}
