package dev.heddle.parallel.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What is kept of a run that is longer than the memory for it. */
class TraceBufferTest {
  private static List<Long> kept(TraceBuffer buffer) {
    List<Long> values = new ArrayList<>();
    buffer.forEach(number -> values.add(buffer.data()[buffer.find(number) + 1]));
    return values;
  }

  @Test
  void shortRun_isKeptWhole() {
    TraceBuffer buffer = new TraceBuffer(2, 3);
    for (int i = 0; i < 6; i++) {
      buffer.data()[buffer.add(i / 2) + 1] = 100 + i;
    }
    assertThat(kept(buffer)).containsExactly(100L, 101L, 102L, 103L, 104L, 105L);
    assertThat(buffer.firstLostStep()).isGreaterThan(buffer.lastLostStep());
  }

  @Test
  void longRun_losesItsMiddle_andKnowsWhichSteps() {
    for (int count = 7; count < 30; count++) {
      TraceBuffer buffer = new TraceBuffer(2, 3);
      for (int i = 0; i < count; i++) {
        buffer.data()[buffer.add(i / 2) + 1] = i;
      }
      assertThat(kept(buffer)).containsExactly(0L, 1L, 2L, count - 3L, count - 2L, count - 1L);
      assertThat(buffer.find(2)).isNotNegative();
      assertThat(buffer.find(3)).isEqualTo(-1);
      assertThat(buffer.find(count - 4)).isEqualTo(-1);
      assertThat(buffer.find(count)).isEqualTo(-1);
      assertThat(buffer.firstLostStep()).isEqualTo(3 / 2);
      assertThat(buffer.lastLostStep()).isEqualTo((count - 4) / 2);
    }
  }

  @Test
  void spansThatDoNotMatch_areRefused() {
    TraceRecorder recorder = new TraceRecorder(4);
    assertThatThrownBy(recorder::end).hasMessageContaining("no span is open; begin() one first");
    assertThatThrownBy(
            () -> {
              while (true) {
                recorder.begin("again");
              }
            })
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("64 spans are open, the innermost again; end() is missing somewhere");
  }
}
