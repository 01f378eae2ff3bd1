package dev.heddle.parallel.layout;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class SplitTest {
  @Test
  void part_sizesDoNotDivide_firstPartsGetOneMore() {
    assertThat(Split.part(10, 4, 0)).isEqualTo(new Interval(0, 3));
    assertThat(Split.part(10, 4, 1)).isEqualTo(new Interval(3, 6));
    assertThat(Split.part(10, 4, 2)).isEqualTo(new Interval(6, 8));
    assertThat(Split.part(10, 4, 3)).isEqualTo(new Interval(8, 10));
    assertThat(Split.part(2, 3, 2).isEmpty()).isTrue();
  }

  @Test
  void zigzag_eightItemsOverTwoParts_pairsEarlyWithLate() {
    assertThat(Split.zigzag(8, 2, 0)).hasToString("[0,2) [6,8)");
    assertThat(Split.zigzag(8, 2, 1)).hasToString("[2,6)");
    assertThat(Split.zigzag(5, 2, 0)).hasToString("[0,2) [4,5)");
    assertThat(Split.zigzag(1, 2, 1)).isEqualTo(Intervals.EMPTY);
  }

  @Test
  void parts_anySize_divideTheWholeOnce() {
    for (Arrangement arrangement : Arrangement.values()) {
      for (int n = 0; n < 20; n++) {
        Intervals whole = Intervals.of(3, 3 + n, 40, 40 + n);
        for (int parts = 1; parts < 7; parts++) {
          Intervals union = Intervals.EMPTY;
          long total = 0;
          for (int index = 0; index < parts; index++) {
            Intervals part = Split.part(whole, parts, index, arrangement);
            union = union.union(part);
            total += part.size();
          }
          assertThat(union).isEqualTo(whole);
          assertThat(total).isEqualTo(whole.size());
        }
      }
    }
  }

  @Test
  void part_indexOutside_isRefused() {
    assertThatThrownBy(() -> Split.part(4, 2, 2)).hasMessageContaining("got part 2 of 2");
    assertThatThrownBy(() -> Split.zigzag(-1, 2, 0)).hasMessageContaining("-1 items");
  }
}
