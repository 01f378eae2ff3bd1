package dev.heddle.train.dataset;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.train.dataset.BatchPlan.Sample;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class BatchPlanTest {

  @Test
  void microBatch_overOneEpoch_visitsEveryExampleOnce() {
    BatchPlan plan = new BatchPlan(1720, 32, 1, 7);
    List<Sample> samples = new ArrayList<>();
    for (int step = 1; step <= 54; step++) {
      samples.addAll(plan.microBatch(step, 0));
    }
    List<Sample> first = samples.subList(0, 1720);
    assertThat(first).allMatch(sample -> sample.epoch() == 0);
    assertThat(new HashSet<>(first)).hasSize(1720);
    assertThat(samples.subList(1720, samples.size())).allMatch(sample -> sample.epoch() == 1);
    assertThat(first.stream().map(Sample::example).toList())
        .as("shuffled")
        .isNotEqualTo(IntStream.range(0, 1720).boxed().toList());
  }

  @Test
  void microBatch_ofTwoPlansWithTheSameSeed_isEqualInAnyOrderOfAsking() {
    BatchPlan forwards = new BatchPlan(100, 8, 2, 7);
    BatchPlan backwards = new BatchPlan(100, 8, 2, 7);
    List<List<Sample>> first = new ArrayList<>();
    for (int step = 1; step <= 40; step++) {
      first.add(forwards.microBatch(step, 1));
    }
    for (int step = 40; step >= 1; step--) {
      assertThat(backwards.microBatch(step, 1)).isEqualTo(first.get(step - 1));
    }
    assertThat(new BatchPlan(100, 8, 2, 8).microBatch(1, 1)).isNotEqualTo(first.getFirst());
    assertThat(first.get(0)).isNotEqualTo(first.get(13));
  }

  @Test
  void samples_overAllCoordinatesAndMicroBatches_areTheStepInOrder() {
    long seed = Long.getLong("heddle.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      int examples = 1 + random.nextInt(50);
      int globalBatch = 1 + random.nextInt(40);
      int microBatches = 1 + random.nextInt(globalBatch);
      int size = 1 + random.nextInt(6);
      long step = 1L + random.nextInt(100);
      BatchPlan whole = new BatchPlan(examples, globalBatch, 1, seed);
      BatchPlan plan = new BatchPlan(examples, globalBatch, microBatches, seed);
      List<Sample> joined = new ArrayList<>();
      for (int micro = 0; micro < microBatches; micro++) {
        List<Sample> part = new ArrayList<>();
        for (int coordinate = 0; coordinate < size; coordinate++) {
          part.addAll(plan.samples(step, micro, coordinate, size));
        }
        assertThat(part)
            .as("replay with -Dheddle.seed=%d", seed)
            .isEqualTo(plan.microBatch(step, micro));
        joined.addAll(part);
      }
      assertThat(joined)
          .as("replay with -Dheddle.seed=%d", seed)
          .isEqualTo(whole.microBatch(step, 0));
    }
  }

  @Test
  void samples_whenTheBatchDoesNotDivide_makesTheFirstPartsLonger() {
    BatchPlan plan = new BatchPlan(100, 10, 1, 1);
    // numpy.array_split(range(10), 4) has the lengths 3, 3, 2, 2.
    assertThat(IntStream.range(0, 4).map(coordinate -> plan.samples(1, 0, coordinate, 4).size()))
        .containsExactly(3, 3, 2, 2);
  }

  @Test
  void order_overManySeeds_putsEveryExampleFirstAboutEquallyOften() {
    int[] counts = new int[10];
    for (int seed = 0; seed < 10_000; seed++) {
      counts[new BatchPlan(10, 1, 1, seed).microBatch(1, 0).getFirst().example()]++;
    }
    // 1000 expected, standard deviation 30.
    assertThat(IntStream.of(counts).boxed()).allMatch(count -> Math.abs(count - 1000) < 150);
  }

  @Test
  void samples_outsideThePlan_areRefused() {
    BatchPlan plan = new BatchPlan(10, 4, 2, 1);
    assertThatThrownBy(() -> plan.microBatch(0, 0)).hasMessageContaining("steps count from 1");
    assertThatThrownBy(() -> plan.microBatch(1, 2))
        .hasMessageContaining("micro batches are 0 to 1");
    assertThatThrownBy(() -> plan.samples(1, 0, 2, 2)).hasMessageContaining("got part 2 of 2");
    assertThatThrownBy(() -> new BatchPlan(10, 2, 3, 1))
        .hasMessageContaining("exampleCount 10, globalBatch 2, microBatches 3");
  }
}
