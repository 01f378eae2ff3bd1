package dev.heddle.train.cli;

import dev.heddle.parallel.comm.RankProgram;

/**
 * Where the ranks of a run are: threads of this JVM, or one of them in each of several processes.
 */
public interface RankLauncher {
  /** Whether rank 0 is in this process. It alone prints, and writes files. */
  boolean hasFirstRank();

  /** What a rank is, to end the sentence "each ...". */
  String rankInWords();

  /**
   * Runs the ranks that are in this process; returns when all ranks of the run have ended.
   *
   * @param ranks how many the run has, in all processes together
   * @throws dev.heddle.parallel.comm.RankFailedException if a rank fails, naming it
   */
  void run(int ranks, RankProgram program);

  /** A rank's place among those of its host, from 0: which of the host's GPUs is its. */
  int placeOnHost(int rank);

  /** How many threads a rank of this process may compute with. */
  int threads(int rank, int ranks);
}
