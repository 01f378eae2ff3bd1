package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;

/** The conformance suite's exchanges over processes; {@link MpiConformanceMain} runs it. */
final class MpiExchangeSuite extends ExchangeConformance {
  @Override
  World world() {
    return MpiConformanceWorld.instance();
  }
}
