package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;

/** The conformance suite's collectives over processes; {@link MpiConformanceMain} runs it. */
final class MpiCollectiveSuite extends CollectiveConformance {
  @Override
  World world() {
    return MpiConformanceWorld.instance();
  }
}
