package dev.heddle.train.cli;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;

/** Every rank a thread of this JVM with its share of the cores. */
public final class ThreadLauncher implements RankLauncher {
  @Override
  public boolean hasFirstRank() {
    return true;
  }

  @Override
  public String rankInWords() {
    return "a thread of this JVM";
  }

  @Override
  public void run(int ranks, RankProgram program) {
    LocalWorld.run(ranks, program);
  }

  @Override
  public int placeOnHost(int rank) {
    return rank;
  }

  @Override
  public int threads(int rank, int ranks) {
    return share(Runtime.getRuntime().availableProcessors(), rank, ranks);
  }

  /** A share of the cores, at least one: the first of those who share get what is left over. */
  static int share(int cores, int place, int sharers) {
    return Math.max(1, cores / sharers + (place < cores % sharers ? 1 : 0));
  }
}
