package dev.heddle.parallel.comm.staged;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.World;
import dev.heddle.parallel.comm.local.LocalWorldFactory;
import java.time.Duration;
import java.util.List;

/** Threads whose arrays all travel through staging memory, though they could reach them. */
public final class StagedWorldFactory {
  private StagedWorldFactory() {}

  public static World world() {
    World local = LocalWorldFactory.world();
    return new World() {
      @Override
      public void run(int rankCount, Duration timeout, RankProgram program) {
        local.run(
            rankCount,
            timeout,
            ranks -> {
              try (StagedCommunicator staged = StagedCommunicator.over(ranks, device -> true)) {
                program.run(staged);
              }
            });
      }

      @Override
      public List<Integer> ranksHere(int rankCount) {
        return local.ranksHere(rankCount);
      }
    };
  }
}
