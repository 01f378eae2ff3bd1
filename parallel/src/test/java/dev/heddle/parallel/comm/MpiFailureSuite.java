package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;

/** The conformance suite's failures over processes; {@link MpiConformanceMain} runs it. */
final class MpiFailureSuite extends FailureConformance {
  @Override
  World world() {
    return MpiConformanceWorld.instance();
  }
}
