package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.staged.StagedWorldFactory;

/** The conformance suite's failures through staging memory. */
class StagedFailureTest extends FailureConformance {
  @Override
  World world() {
    return StagedWorldFactory.world();
  }
}
