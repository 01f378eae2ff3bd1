package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Configurations that nobody thought of train as one rank does: loss and gradient norm of six steps
 * and the weights after them. A failure names its seed and the smallest case that fails too; {@code
 * -Dheddle.seed=N} repeats just that seed. The second range of seeds runs in the profile {@code
 * thorough}.
 */
class RandomLayoutParityTest {
  private static final double TOLERANCE = 1e-9;
  private static final int COUNT = 60;
  private static final int THOROUGH_FIRST = 1000;
  private static final int THOROUGH_COUNT = 200;

  /** Runs that may be spent on making a failing case smaller. */
  private static final int SHRINKING_RUNS = 120;

  private static final Duration PATIENCE = Duration.ofSeconds(60);

  /** A smaller case that hangs is one that fails, and need not hang for long to be seen. */
  private static final Duration SHRINKING_PATIENCE = Duration.ofSeconds(3);

  private static final Map<String, Outcome> CONTROLS = new HashMap<>();

  static LongStream seeds() {
    String one = System.getProperty("heddle.seed");
    return one == null ? LongStream.range(0, COUNT) : LongStream.of(Long.parseLong(one));
  }

  static LongStream moreSeeds() {
    return System.getProperty("heddle.seed") == null
        ? LongStream.range(THOROUGH_FIRST, THOROUGH_FIRST + THOROUGH_COUNT)
        : seeds();
  }

  @ParameterizedTest(name = "-Dheddle.seed={0}")
  @MethodSource("seeds")
  void randomConfiguration_trainsAsOneRankDoes(long seed) {
    check(seed);
  }

  @Tag("thorough")
  @ParameterizedTest(name = "-Dheddle.seed={0}")
  @MethodSource("moreSeeds")
  void manyMoreRandomConfigurations_trainAsOneRankDoes(long seed) {
    check(seed);
  }

  private static void check(long seed) {
    RandomCase random = RandomCase.of(seed);
    Throwable failure = failureOf(random, PATIENCE);
    if (failure != null) {
      RandomCase smallest =
          Shrinking.smallest(random, c -> failureOf(c, SHRINKING_PATIENCE) != null, SHRINKING_RUNS);
      Throwable ofSmallest = failureOf(smallest, SHRINKING_PATIENCE);
      throw new AssertionError(
          "-Dheddle.seed=%d: %s%n%s%nThe smallest case that fails: %s%n%s"
              .formatted(seed, random, failure, smallest, ofSmallest),
          ofSmallest == null ? failure : ofSmallest);
    }
  }

  private static @Nullable Throwable failureOf(RandomCase random, Duration timeout) {
    Experiment experiment = random.experiment();
    experiment.timeout = timeout;
    String what = experiment.toString();
    try {
      Experiment single = random.control();
      Outcome control = CONTROLS.computeIfAbsent(single.toString(), key -> single.run());
      Outcome outcome = experiment.run();
      outcome.assertReplicasAgree(what);
      outcome.assertEqualTo(control, TOLERANCE, what);
      return null;
    } catch (RuntimeException | AssertionError e) {
      return e;
    }
  }

  @Test
  void seeds_coverEverythingThatCanBeConfigured() {
    Set<String> features = new TreeSet<>();
    LongStream.range(0, COUNT).mapToObj(RandomCase::of).forEach(c -> features.addAll(c.features()));
    assertThat(features)
        .contains("1f1b", "gpipe", "interleaved", "zero-bubble", "chunks")
        .contains("direct", "scatter-gather", "leader")
        .contains("1 components", "2 components", "3 components", "packed", "padded to one length")
        .contains("same ranks", "disjoint ranks", "some shared ranks")
        .contains("tied", "recompute", "text only", "sequence parallel", "zero-1")
        .contains("ring", "all-gather", "all-to-all")
        .contains("frozen vision", "frozen audio", "frozen language");
    for (String axis : List.of("tp", "cp", "pp", "dp")) {
      assertThat(features).contains(axis + 1, axis + 2, axis + 3, axis + 4);
    }
    for (int count = 1; count <= 8; count++) {
      assertThat(features).contains(count + " microbatches");
    }
  }

  @Test
  void shrinking_leavesJustWhatFails() {
    RandomCase large =
        LongStream.range(0, 10_000)
            .mapToObj(RandomCase::of)
            .filter(c -> c.layout().language().cp() > 2 && c.packed() && c.microBatches() > 3)
            .findFirst()
            .orElseThrow();
    RandomCase smallest =
        Shrinking.smallest(
            large, c -> c.layout().language().cp() > 1 && c.packed() && c.microBatches() > 1, 1000);
    assertThat(Layouts.toText(smallest.layout()))
        .isEqualTo("tp1.cp1ring.pp1.chunks1.dp1@0 | tp1.cp2ring.pp1.chunks1.dp1@0-1");
    assertThat(smallest.packed()).isTrue();
    assertThat(smallest.microBatches()).isEqualTo(2);
    assertThat(smallest.samples()).isEqualTo(2);
    assertThat(smallest.steps()).isEqualTo(1);
    assertThat(List.of(smallest.tied(), smallest.recompute())).containsOnly(false);
    assertThat(smallest.textOnly()).isEmpty();
    assertThat(smallest.frozen()).isEmpty();
  }
}
