package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorldFactory;

/** The conformance suite's random programs over threads. */
class LocalRandomProgramTest extends RandomProgramConformance {
  @Override
  World world() {
    return LocalWorldFactory.world();
  }
}
