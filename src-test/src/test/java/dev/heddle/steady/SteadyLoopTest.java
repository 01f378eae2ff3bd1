package dev.heddle.steady;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SteadyLoopTest {
  private static final long HEAP_LIMIT = 64 * 1024;

  @ParameterizedTest(name = "{0} thread(s)")
  @ValueSource(ints = {1, 2})
  @Timeout(value = 4, unit = TimeUnit.MINUTES)
  void training_ofFixedSize_allocatesNoOffHeapMemoryAfterStepThreeAndLittleHeap(int threads)
      throws IOException, InterruptedException {
    List<String> lines = LoopProgram.run(SteadyLoop.class, Integer.toString(threads));
    String report = String.join(System.lineSeparator(), lines);
    List<Long> system = numbers(lines, "SYSTEM ");
    assertThat(system).as(report).hasSize(2);
    assertThat(system.get(0)).as("the loop uses the pool: %s", report).isPositive();
    assertThat(system.get(1)).as("system allocations: %s", report).isEqualTo(system.get(0));
    // The JIT removes objects that don't escape once it has compiled all of a step, which takes
    // longer on a busy machine: the best window tells the steady state.
    List<Long> heap = numbers(lines, "HEAP ");
    assertThat(heap).as(report).isNotEmpty();
    assertThat(heap.stream().mapToLong(Long::longValue).min().orElseThrow())
        .as("heap bytes a step: %s", report)
        .isLessThan(HEAP_LIMIT);
  }

  private static List<Long> numbers(List<String> lines, String tag) {
    return lines.stream()
        .filter(line -> line.startsWith(tag))
        .map(line -> Long.valueOf(line.substring(tag.length())))
        .toList();
  }
}
