package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorldFactory;
import dev.heddle.parallel.trace.TraceRecorder;
import dev.heddle.parallel.trace.TracingCommunicator;

/** A traced communicator does what the one behind it does. */
class TracedCollectiveTest extends CollectiveConformance {
  @Override
  World world() {
    return traced(LocalWorldFactory.world());
  }

  static World traced(World world) {
    return (rankCount, timeout, program) ->
        world.run(
            rankCount,
            timeout,
            ranks -> program.run(new TracingCommunicator(ranks, new TraceRecorder(16))));
  }
}
