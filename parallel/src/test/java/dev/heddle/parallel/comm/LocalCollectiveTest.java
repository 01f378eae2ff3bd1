package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorldFactory;

/** The conformance suite's collectives over threads. */
class LocalCollectiveTest extends CollectiveConformance {
  @Override
  World world() {
    return LocalWorldFactory.world();
  }
}
