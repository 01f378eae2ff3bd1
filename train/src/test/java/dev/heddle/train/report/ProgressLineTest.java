package dev.heddle.train.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class ProgressLineTest {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private long nanos;

  private ProgressLine line(boolean terminal, long lastStep) {
    return new ProgressLine(
        new PrintStream(bytes, true, StandardCharsets.UTF_8), terminal, lastStep, () -> nanos);
  }

  private void run(ProgressLine line, int from, int to) {
    for (int step = from; step <= to; step++) {
      nanos += 1_000_000_000L;
      line.update(new StepMetrics(step, 2.5, 1200, 1, 1e-3, 1.0, 0));
    }
  }

  private String written() {
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Test
  void update_notOnATerminal_writesAPlainLineNowAndThen() {
    try (ProgressLine line = line(false, 400)) {
      run(line, 1, 400);
    }
    assertThat(written().lines())
        .hasSize(21)
        .startsWith(
            "step   1/400  loss 2.5000  1,200 tokens/s  6m 39s left",
            "step  20/400  loss 2.5000  1,200 tokens/s  6m 20s left")
        .endsWith("step 400/400  loss 2.5000  1,200 tokens/s  0s left");
    assertThat(written()).doesNotContain("\r", "\u001b");
  }

  @Test
  void update_onATerminal_renewsOneLineAndEndsIt() {
    try (ProgressLine line = line(true, 4)) {
      run(line, 1, 2);
      line.println("checkpoint written");
      run(line, 3, 4);
    }
    assertThat(written())
        .startsWith(
            "\r[#####...............] step 1/4  loss 2.5000  1,200 tokens/s  3s left\u001b[K")
        .contains("\r\u001b[Kcheckpoint written" + System.lineSeparator())
        .endsWith("0s left\u001b[K" + System.lineSeparator());
    assertThat(written().lines().mapToInt(String::length).max().orElseThrow()).isLessThan(400);
  }

  @Test
  void update_onATerminal_isNotShownMoreThanTenTimesASecond() {
    try (ProgressLine line = line(true, 1000)) {
      for (int step = 1; step < 1000; step++) {
        nanos += 1_000_000L;
        line.update(new StepMetrics(step, 1, 1, 1, 1, 0.001, 0));
      }
    }
    assertThat(written().chars().filter(c -> c == '\r').count()).isBetween(9L, 12L);
  }

  @Test
  void update_afterAResume_countsTheStepsThatAreLeft() {
    try (ProgressLine line = line(false, 400)) {
      run(line, 391, 391);
    }
    assertThat(written()).contains("step 391/400").contains("9s left");
  }

  @Test
  void duration_isWhatPeopleSay() {
    assertThat(ProgressLine.duration(0.4)).isEqualTo("0s");
    assertThat(ProgressLine.duration(59.6)).isEqualTo("1m 00s");
    assertThat(ProgressLine.duration(187)).isEqualTo("3m 07s");
    assertThat(ProgressLine.duration(7500)).isEqualTo("2h 05m");
  }
}
