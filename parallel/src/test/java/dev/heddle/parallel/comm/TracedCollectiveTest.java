package dev.heddle.parallel.comm;

import dev.heddle.parallel.comm.local.LocalWorldFactory;
import dev.heddle.parallel.trace.TraceRecorder;
import dev.heddle.parallel.trace.TracingCommunicator;
import java.time.Duration;
import java.util.List;

/** A traced communicator does what the one behind it does. */
class TracedCollectiveTest extends CollectiveConformance {
  @Override
  World world() {
    return traced(LocalWorldFactory.world());
  }

  static World traced(World world) {
    return new World() {
      @Override
      public void run(int rankCount, Duration timeout, RankProgram program) {
        world.run(
            rankCount,
            timeout,
            ranks -> program.run(new TracingCommunicator(ranks, new TraceRecorder(16))));
      }

      @Override
      public List<Integer> ranksHere(int rankCount) {
        return world.ranksHere(rankCount);
      }
    };
  }
}
