package dev.heddle.parallel.context;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.layout.Intervals;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.IntToLongFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ContextPlanTest {
  /** The lane positions of a part, by place. */
  private static long[] positions(Intervals part) {
    long[] all = new long[(int) part.size()];
    int next = 0;
    for (int i = 0; i < part.count(); i++) {
      for (long position = part.start(i); position < part.end(i); position++) {
        all[next++] = position;
      }
    }
    return all;
  }

  /** Counts each pair of a query and a key that a tile computes. */
  private static void count(int[][] seen, List<AttentionTile> tiles, long[] queries, long[] keys) {
    for (AttentionTile tile : tiles) {
      long keyCount = tile.keyEnd() - tile.keyStart();
      long pairs = 0;
      for (long q = tile.queryStart(); q < tile.queryEnd(); q++) {
        long visible = tile.mask().visibleKeys(q - tile.queryStart(), keyCount);
        assertThat(visible).as("keys of query %d of %s", q, tile).isPositive();
        for (long k = tile.keyStart(); k < tile.keyStart() + visible; k++) {
          seen[(int) queries[(int) q]][(int) keys[(int) k]]++;
        }
        pairs += visible;
      }
      assertThat(tile.pairs()).as("pairs of %s", tile).isEqualTo(pairs);
    }
  }

  private static int[][] wanted(SequenceSpec sequence, boolean causal) {
    int length = (int) sequence.length();
    int[][] wanted = new int[length][length];
    for (int q = 0; q < length; q++) {
      for (int k = 0; k < length; k++) {
        boolean sees = sequence.documentOf(q) == sequence.documentOf(k) && (!causal || k <= q);
        wanted[q][k] = sees ? 1 : 0;
      }
    }
    return wanted;
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void ringAndLaneTiles_coverEveryVisiblePairOnce(long seed) {
    Random random = new Random(seed);
    for (int i = 0; i < 60; i++) {
      SequenceSpec sequence = RandomSequences.draw(random, random.nextBoolean());
      int parts = 1 + random.nextInt(5);
      boolean causal = random.nextBoolean();
      ContextPlan plan = ContextPlan.of(sequence, parts, causal);
      int length = (int) sequence.length();
      int[][] ring = new int[length][length];
      int[][] lane = new int[length][length];
      for (int rank = 0; rank < parts; rank++) {
        long[] queries = positions(plan.positions(rank));
        assertThat(queries).hasSize((int) plan.size(rank));
        long pairs = 0;
        for (int step = 0; step < parts; step++) {
          long[] keys = positions(plan.positions(plan.keysOf(rank, step)));
          count(ring, plan.ringTiles(rank, step), queries, keys);
          pairs += plan.pairs(rank, step);
        }
        count(lane, plan.laneTiles(rank), queries, sequence.positions());
        assertThat(plan.pairs(rank)).isEqualTo(pairs);
      }
      String what = "seed " + seed + ", case " + i + ": " + sequence + " over " + parts;
      assertThat(ring).as(what).isDeepEqualTo(wanted(sequence, causal));
      assertThat(lane).as(what).isDeepEqualTo(wanted(sequence, causal));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void zigzag_balancesCausalWork_inAllAndInEachStep(int parts) {
    ContextPlan plan = ContextPlan.of(SequenceSpec.of(1, 2048), parts, true);
    assertThat(ratio(parts, plan::pairs)).isCloseTo(1, within(0.01));
    for (int step = 0; step < parts; step++) {
      int now = step;
      assertThat(ratio(parts, rank -> plan.pairs(rank, now)))
          .as("step %d", step)
          .isCloseTo(1, within(0.01));
    }
  }

  private static double ratio(int parts, IntToLongFunction pairs) {
    long[] each = new long[parts];
    Arrays.setAll(each, pairs::applyAsLong);
    return Arrays.stream(each).max().orElseThrow()
        / (double) Arrays.stream(each).min().orElseThrow();
  }

  @ParameterizedTest
  @CsvSource({"2, 1.05", "4, 1.1"})
  void zigzag_ofManyDocuments_keepsCausalWorkNearlyEven(int parts, double most) {
    Random random = new Random(5);
    long[] lengths = random.longs(200, 10, 100).toArray();
    ContextPlan plan = ContextPlan.of(SequenceSpec.packed(lengths), parts, true);
    assertThat(ratio(parts, plan::pairs)).isBetween(1.0, most);
  }

  @Test
  void table_saysWhoComputesWhatInEachStep() {
    // 10 positions over 2 parts: chunks of 3, 3, 2, 2; documents of 7 and 3.
    ContextPlan plan = ContextPlan.of(SequenceSpec.packed(7, 3), 2, true);
    assertThat(plan.table())
        .isEqualToNormalizingNewlines(
            """
            ring of 2, causal, 10 positions a lane in 2 documents
            rank  step  keys of  queries       keys          mask           pairs
               0     0        0  [0,3)         [0,3)         causal             6
               0     0        0  [3,5)         [3,5)         causal             3
               0     1        1  [3,5)         [4,5)         full               2
               0   all                                                         11
               1     0        1  [0,4)         [0,4)         causal            10
               1     0        1  [4,5)         [4,5)         full               1
               1     1        0  [0,4)         [0,3)         full              12
               1   all                                                         23
            """);
  }
}
