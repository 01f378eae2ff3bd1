package dev.heddle.parallel.comm;

/** The conformance suite over a simulated NCCL between simulated GPUs with lazy streams. */
class NcclFailureTest extends FailureConformance {
  @Override
  World world() {
    return SimulatedGpuWorld.lazy();
  }
}
