package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.staged.StagedWorldFactory;

/** The conformance suite's exchanges through staging memory. */
class StagedExchangeTest extends ExchangeConformance {
  @Override
  World world() {
    return StagedWorldFactory.world();
  }
}
