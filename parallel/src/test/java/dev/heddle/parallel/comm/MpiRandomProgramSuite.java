package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;

/** The conformance suite's random programs over processes; {@link MpiConformanceMain} runs it. */
final class MpiRandomProgramSuite extends RandomProgramConformance {
  @Override
  World world() {
    return MpiConformanceWorld.instance();
  }
}
