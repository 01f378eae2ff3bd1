package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorldFactory;

/** Traced messages arrive as others do. */
class TracedExchangeTest extends ExchangeConformance {
  @Override
  World world() {
    return TracedCollectiveTest.traced(LocalWorldFactory.world());
  }
}
