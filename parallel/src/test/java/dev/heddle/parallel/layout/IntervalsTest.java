package dev.heddle.parallel.layout;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

class IntervalsTest {
  @Test
  void of_touchingAndEmptyIntervals_areJoinedAndDropped() {
    Intervals set = Intervals.of(0, 3, 3, 5, 6, 6, 8, 9);
    assertThat(set).hasToString("[0,5) [8,9)");
    assertThat(set.size()).isEqualTo(6);
    assertThat(set.contains(4)).isTrue();
    assertThat(set.contains(5)).isFalse();
    assertThat(Intervals.EMPTY).hasToString("none");
  }

  @Test
  void of_badBounds_areRefused() {
    assertThatThrownBy(() -> Intervals.of(1)).hasMessageContaining("got 1 bounds");
    assertThatThrownBy(() -> Intervals.of(3, 2)).hasMessageContaining("got [3,2)");
    assertThatThrownBy(() -> Intervals.of(5, 6, 1, 2))
        .hasMessageContaining("got [1,2) after [5,6)");
    assertThatThrownBy(() -> Intervals.of(0, 2).slice(1, 3)).hasMessageContaining("slice [1,3)");
    assertThatThrownBy(() -> new Interval(2, 1)).hasMessageContaining("wanted start <= end");
  }

  @Test
  void setOperations_onRandomSets_agreeWithBitSets() {
    long seed = Long.getLong("heddle.seed", 11);
    Random random = new Random(seed);
    for (int trial = 0; trial < 500; trial++) {
      BitSet a = randomBits(random);
      BitSet b = randomBits(random);
      String what = "seed " + seed + " trial " + trial + ": " + a + " and " + b;
      BitSet and = (BitSet) a.clone();
      and.and(b);
      BitSet minus = (BitSet) a.clone();
      minus.andNot(b);
      BitSet or = (BitSet) a.clone();
      or.or(b);
      assertThat(toIntervals(a).intersect(toIntervals(b))).as(what).isEqualTo(toIntervals(and));
      assertThat(toIntervals(a).subtract(toIntervals(b))).as(what).isEqualTo(toIntervals(minus));
      assertThat(toIntervals(a).union(toIntervals(b))).as(what).isEqualTo(toIntervals(or));
      assertThat(toIntervals(a).containsAll(toIntervals(b))).as(what).isEqualTo(minus(b, a));
      int size = a.cardinality();
      int from = random.nextInt(size + 1);
      int to = from + random.nextInt(size - from + 1);
      int[] members = a.stream().skip(from).limit(to - from).toArray();
      BitSet slice = new BitSet();
      for (int member : members) {
        slice.set(member);
      }
      assertThat(toIntervals(a).slice(from, to)).as(what).isEqualTo(toIntervals(slice));
    }
  }

  private static boolean minus(BitSet b, BitSet a) {
    BitSet left = (BitSet) b.clone();
    left.andNot(a);
    return left.isEmpty();
  }

  private static BitSet randomBits(Random random) {
    BitSet bits = new BitSet();
    int size = random.nextInt(24);
    for (int i = 0; i < size; i++) {
      bits.set(i, random.nextInt(3) > 0);
    }
    return bits;
  }

  private static Intervals toIntervals(BitSet bits) {
    Intervals.Builder builder = new Intervals.Builder();
    bits.stream().forEach(bit -> builder.add(bit, bit + 1));
    return builder.build();
  }
}
