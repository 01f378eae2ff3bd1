package dev.heddle.parallel.comm;

/** Messages over a simulated NCCL between simulated GPUs that run their work when it is given. */
class NcclEagerExchangeTest extends ExchangeConformance {
  @Override
  World world() {
    return SimulatedGpuWorld.eager();
  }
}
