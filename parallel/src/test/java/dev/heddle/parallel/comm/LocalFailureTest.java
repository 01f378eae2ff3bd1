package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorldFactory;

/** The conformance suite's failures over threads. */
class LocalFailureTest extends FailureConformance {
  @Override
  World world() {
    return LocalWorldFactory.world();
  }
}
