package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.World;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;

/** The world of threads, for the conformance suite. */
public final class LocalWorldFactory {
  private LocalWorldFactory() {}

  public static World world() {
    return new World() {
      @Override
      public void run(int rankCount, Duration timeout, RankProgram program) {
        LocalWorld.builder(rankCount).timeout(timeout).run(program);
      }

      @Override
      public List<Integer> ranksHere(int rankCount) {
        return IntStream.range(0, rankCount).boxed().toList();
      }
    };
  }
}
