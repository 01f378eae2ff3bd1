package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorldFactory;

/** The conformance suite's exchanges over threads. */
class LocalExchangeTest extends ExchangeConformance {
  @Override
  World world() {
    return LocalWorldFactory.world();
  }
}
