package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.component.StepResult;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a run came to.
 *
 * @param steps each step's result, the same on all ranks (checked while running)
 * @param weights every global parameter as rank 0 gathered it
 * @param moments every optimizer moment as rank 0 gathered it
 * @param shards every part of every parameter as each rank held it
 * @param optimizerSteps how often each rank's optimizers had stepped
 * @param ranks what each rank measured, by rank
 */
record Outcome(
    List<StepResult> steps,
    Map<String, double[]> weights,
    Map<String, double[]> moments,
    List<Shard> shards,
    List<Long> optimizerSteps,
    List<RankLog> ranks) {
  /** A rank's part of a parameter: the interval [start, start + count) of dim {@code dim}. */
  record Shard(
      int rank, String name, long[] shape, int dim, long start, long count, double[] values) {}

  /** A number that differs by more than the tolerance. */
  private record Difference(String what, double expected, double actual, double relative) {}

  /**
   * That this run is, to a relative difference, the other one: loss and norm of each step, tokens,
   * and every element of every weight (relative to the largest of its tensor).
   */
  void assertEqualTo(Outcome control, double tolerance, String what) {
    assertThat(steps).as(what + ": steps").hasSameSizeAs(control.steps);
    List<Difference> differences = new ArrayList<>();
    for (int i = 0; i < steps.size(); i++) {
      StepResult mine = steps.get(i);
      StepResult other = control.steps.get(i);
      assertThat(mine.tokens()).as("%s: tokens of step %d", what, i).isEqualTo(other.tokens());
      assertThat(mine.skipped()).as("%s: skipped step %d", what, i).isEqualTo(other.skipped());
      compare("loss of step " + i, other.loss(), mine.loss(), 0, tolerance, differences);
      compare(
          "gradient norm of step " + i,
          other.gradientNorm(),
          mine.gradientNorm(),
          0,
          tolerance,
          differences);
    }
    compare(control.weights, weights, tolerance, what, differences);
    assertThat(differences.stream().limit(12).toList())
        .as("%s: %d numbers differ", what, differences.size())
        .isEmpty();
  }

  private static void compare(
      Map<String, double[]> expected,
      Map<String, double[]> actual,
      double tolerance,
      String what,
      List<Difference> differences) {
    assertThat(actual.keySet()).as(what).containsExactlyElementsOf(expected.keySet());
    expected.forEach(
        (name, values) -> {
          double[] mine = actual.get(name);
          assertThat(mine).as(what + ": " + name).hasSameSizeAs(values);
          double largest = Arrays.stream(values).map(Math::abs).max().orElse(0);
          for (int i = 0; i < values.length; i++) {
            compare(name + "[" + i + "]", values[i], mine[i], largest, tolerance, differences);
          }
        });
  }

  private static void compare(
      String what,
      double expected,
      double actual,
      double scale,
      double tolerance,
      List<Difference> differences) {
    if (Double.doubleToLongBits(expected) == Double.doubleToLongBits(actual)) {
      return;
    }
    double relative = Math.abs(expected - actual) / Math.max(Math.abs(expected), scale);
    // Written so that a NaN is a difference.
    if (!(relative <= tolerance)) {
      differences.add(new Difference(what, expected, actual, relative));
    }
  }

  /**
   * This run without the attentions' key biases. A softmax does not change when all scores of a
   * query are shifted, so their gradient is zero but for rounding, and Adam divides it by its own
   * size: in narrow types they walk at random, without any effect on the model.
   */
  Outcome withoutKeyBiases() {
    Map<String, double[]> kept = new LinkedHashMap<>();
    weights.forEach(
        (name, values) -> {
          double[] copy = values.clone();
          if (name.endsWith(".qkv.bias")) {
            // [3, heads x head size]: queries, keys, values.
            Arrays.fill(copy, values.length / 3, 2 * (values.length / 3), 0);
          }
          kept.put(name, copy);
        });
    return new Outcome(steps, kept, moments, shards, optimizerSteps, ranks);
  }

  /** The largest relative difference to another run of anything that is compared. */
  double distanceTo(Outcome control) {
    List<Difference> all = new ArrayList<>();
    for (int i = 0; i < steps.size(); i++) {
      compare("loss", control.steps.get(i).loss(), steps.get(i).loss(), 0, 0, all);
      compare(
          "norm", control.steps.get(i).gradientNorm(), steps.get(i).gradientNorm(), 0, 0, all);
    }
    compare(control.weights, weights, 0, "distance", all);
    return all.stream().mapToDouble(Difference::relative).max().orElse(0);
  }

  /** That every rank's part is bit for bit the part of what rank 0 gathered. */
  void assertReplicasAgree(String what) {
    assertThat(shards).as(what).isNotEmpty();
    for (Shard shard : shards) {
      double[] whole = weights.get(shard.name());
      assertThat(shard.values())
          .as("%s: %s of rank %d", what, shard.name(), shard.rank())
          .isEqualTo(part(whole, shard));
    }
    assertThat(optimizerSteps.stream().distinct().toList()).as(what).hasSizeLessThanOrEqualTo(1);
  }

  private static double[] part(double[] whole, Shard shard) {
    if (shard.dim() < 0) {
      return whole;
    }
    long inner = 1;
    for (int i = shard.dim() + 1; i < shard.shape().length; i++) {
      inner *= shard.shape()[i];
    }
    long size = shard.shape()[shard.dim()];
    double[] part = new double[(int) (whole.length / size * shard.count())];
    int next = 0;
    for (int i = 0; i < whole.length; i++) {
      long index = i / inner % size;
      if (index >= shard.start() && index < shard.start() + shard.count()) {
        part[next++] = whole[i];
      }
    }
    assertThat(next).isEqualTo(part.length);
    return part;
  }
}
