package dev.heddle.simulated.simt;

import java.util.Arrays;

/**
 * Which lanes of a warp have been ordered against each other since when. Time is counted in
 * meetings ({@code bar.warp.sync}, {@code shfl.sync} and the like) since the block's last barrier;
 * what one lane did before a meeting comes before all that another lane of the same meeting does
 * after it.
 */
final class WarpOrder {
  private static final int LANES = Step.LANES;
  private static final int ALL = -1;

  private int now;
  private int lastOfAll;
  private int[] lastOfPair = {};
  private boolean pairs;

  /** A barrier has ordered everything: the count begins anew. */
  void beginPhase() {
    now = 1;
    lastOfAll = 0;
    if (pairs) {
      Arrays.fill(lastOfPair, 0);
      pairs = false;
    }
  }

  /** How many meetings there were, plus one. */
  int now() {
    return now;
  }

  /** The lanes in {@code mask} have met. */
  void meet(int mask, int existing) {
    if (mask == existing || mask == ALL) {
      lastOfAll = now;
    } else {
      if (lastOfPair.length == 0) {
        lastOfPair = new int[LANES * LANES];
      }
      pairs = true;
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int row = Integer.numberOfTrailingZeros(rest) * LANES;
        for (int other = mask; other != 0; other &= other - 1) {
          lastOfPair[row + Integer.numberOfTrailingZeros(other)] = now;
        }
      }
    }
    now++;
  }

  /** Whether all lanes have met since {@code time}. */
  boolean allMetSince(int time) {
    return lastOfAll >= time;
  }

  /** Whether what {@code earlier} did at {@code time} comes before what {@code later} does now. */
  boolean areOrdered(int earlier, int time, int later) {
    return lastOfAll >= time || (pairs && lastOfPair[earlier * LANES + later] >= time);
  }
}
