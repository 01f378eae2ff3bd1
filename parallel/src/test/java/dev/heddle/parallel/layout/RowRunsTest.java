package dev.heddle.parallel.layout;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Runs of rows and their places. */
class RowRunsTest {
  @Test
  void freePlaces_betweenRuns_areTheOthers_whateverTheOrderOfRows() {
    RowRuns runs = new RowRuns.Builder().add(0, 4, 9).add(10, 12, 3).add(20, 21, 5).build();

    assertThat(runs.freePlaces(15)).isEqualTo(Intervals.of(0, 3, 6, 9, 13, 15));
  }

  @Test
  void freePlaces_ofAFullBuffer_areNone() {
    RowRuns runs = new RowRuns.Builder().add(0, 4, 2).add(7, 9, 0).build();

    assertThat(runs.freePlaces(6)).isEqualTo(Intervals.EMPTY);
  }

  @Test
  void freePlaces_withoutRows_areAll() {
    assertThat(RowRuns.NONE.freePlaces(3)).isEqualTo(Intervals.of(0, 3));
    assertThat(RowRuns.NONE.freePlaces(0)).isEqualTo(Intervals.EMPTY);
  }
}
