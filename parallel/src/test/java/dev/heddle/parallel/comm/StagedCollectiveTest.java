package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.staged.StagedWorldFactory;

/** The conformance suite's collectives through staging memory. */
class StagedCollectiveTest extends CollectiveConformance {
  @Override
  World world() {
    return StagedWorldFactory.world();
  }
}
