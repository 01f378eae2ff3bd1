package dev.heddle.train.run;

import dev.heddle.runtime.cuda.KernelTraffic;
import dev.heddle.runtime.cuda.PaperCounters;

/**
 * What a steady training step of one rank asks of its GPU.
 *
 * @param counters what was counted on a GPU on paper
 * @param least the fewest bytes that such a step moves
 */
record RankStep(PaperCounters counters, LeastTraffic least) {
  /** What all kernels and products move. */
  KernelTraffic moved() {
    return counters.kernels("");
  }

  /** How many times the least its kernels and products move. */
  double ofTheLeast() {
    return least.total() == 0 ? 1 : (double) moved().bytes() / least.total();
  }
}
