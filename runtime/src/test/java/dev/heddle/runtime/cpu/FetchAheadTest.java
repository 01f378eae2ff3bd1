package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Which lines of a matrix tiles are told to fetch. */
class FetchAheadTest {
  @Test
  void rows_areHandedOutAColumnOfLinesAtATime_fromTheLineThatTheyBeginIn() {
    FetchAhead ahead = new FetchAhead();
    // Bytes 4000 to 4256 of each row lie in the lines from 3968 to 4256.
    ahead.rows(4000, 768, 256, 2);
    assertThat(ahead.tiles()).isEqualTo(2);
    assertThat(ahead.step()).isEqualTo(768);
    for (long line = 3968; line < 4256; line += FetchAhead.LINE_BYTES) {
      assertThat(ahead.isLeft()).as("line %s", line).isTrue();
      assertThat(ahead.take()).isEqualTo(line);
    }
    assertThat(ahead.isLeft()).isFalse();
  }

  @Test
  void nothing_leavesNothing() {
    FetchAhead ahead = new FetchAhead();
    assertThat(ahead.isLeft()).isFalse();
    ahead.rows(64, 100, 64, 1);
    assertThat(ahead.isLeft()).isTrue();
    ahead.nothing();
    assertThat(ahead.isLeft()).isFalse();
  }
}
