package dev.heddle.parallel.data;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Sum.sum;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.ops.Square;
import dev.heddle.optim.ParameterPart;
import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GradientReductionTest {
  private static final long ONE_EACH = 1;

  @FunctionalInterface
  private interface Body {
    void run(Communicator world, CpuDevice device, LocalLayers layers);
  }

  private static void onRanks(int ranks, Body body) {
    LocalWorld.run(
        ranks,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              body.run(world, device, new LocalLayers(device, DType.F64, 1));
            }));
  }

  /** Parameters p0, p1, ... of these numbers of elements, random and the same on every rank. */
  private static List<Parameter> parameters(LocalLayers layers, int... sizes) {
    List<Parameter> parameters = new ArrayList<>();
    for (int i = 0; i < sizes.length; i++) {
      parameters.add(layers.parameter("p" + i, Shape.of(sizes[i]), new Initializer.Normal(1)));
    }
    return parameters;
  }

  private static void clear(List<Parameter> parameters) {
    parameters.forEach(parameter -> parameter.tensor().clearGradient());
  }

  private static long posted(Communicator world) {
    return world.statistics().count(CommunicationKind.ALL_REDUCE);
  }

  @Test
  void reduce_sumsOverReplicas_ranksWithoutASampleGivingZeros() {
    onRanks(
        3,
        (world, device, layers) -> {
          Parameter used = layers.parameter("used", Shape.of(4), Initializer.ONES);
          Parameter unused = layers.parameter("unused", Shape.of(2, 2), Initializer.ONES);
          List<Parameter> both = List.of(used, unused);
          GradientReduction reduction = new GradientReduction(world, both, ONE_EACH, false);
          for (int step = 1; step <= 2; step++) {
            try (MemoryScope inside = MemoryScope.open()) {
              if (world.rank() != 1) {
                for (int i = 0; i < world.rank() + step; i++) {
                  sum(used.tensor()).backward();
                }
              }
              reduction.reduce();
            }
            // A sum and no mean: (0 + step) + (2 + step), nothing of rank 1.
            assertThat(used.tensor().gradientOrZeros().toDoubles()).containsOnly(2 + 2 * step);
            assertThat(unused.tensor().gradientOrZeros().toDoubles()).containsOnly(0);
            clear(both);
          }
          assertThat(posted(world)).isEqualTo(4);
        });
  }

  @ParameterizedTest
  @CsvSource({"8,5", "24,4", "40,3", "48,3", "56,2", "96,2", "104,1", "4000,1"})
  void buckets_areFilledFromTheLastParameterOn_upToTheirSize(long bytes, int expected) {
    // From the back 2, 1, 3, 2, 5 numbers of 8 bytes.
    onRanks(
        2,
        (world, device, layers) ->
            assertThat(
                    new GradientReduction(world, parameters(layers, 5, 2, 3, 1, 2), bytes, false)
                        .bucketCount())
                .isEqualTo(expected));
  }

  @Test
  void bucketsOfNoBytes_areRefused() {
    onRanks(
        1,
        (world, device, layers) ->
            assertThatThrownBy(() -> new GradientReduction(world, parameters(layers, 1), 0, false))
                .hasMessageContaining("got buckets of 0 bytes, wanted at least 1"));
  }

  @Test
  void bucket_isPostedWhileTheLastBackwardGoesOn_andNotBefore() {
    onRanks(
        2,
        (world, device, layers) -> {
          List<Parameter> parameters = parameters(layers, 3, 3);
          GradientReduction reduction = new GradientReduction(world, parameters, ONE_EACH, false);
          List<Long> postedAtFirst = new ArrayList<>();
          parameters.get(0).tensor().onGradient((t, g) -> postedAtFirst.add(posted(world)));
          for (int microBatch = 0; microBatch < 2; microBatch++) {
            try (MemoryScope inside = MemoryScope.open()) {
              // The last parameter is used last, so its gradient is complete first.
              Tensor loss =
                  sum(add(Square.square(parameters.get(0).tensor()), parameters.get(1).tensor()));
              if (microBatch == 1) {
                reduction.lastBackward(parameters);
              }
              loss.backward();
            }
          }
          // In the last backward p1's was under way when p0's was complete, and now both are.
          assertThat(postedAtFirst).containsExactly(0L, 2L);
          reduction.reduce();
          assertThat(posted(world)).isEqualTo(2);
          assertThat(parameters.get(1).tensor().gradientOrZeros().toDoubles()).containsOnly(4);
          clear(parameters);
          // The next step begins anew: nothing is complete.
          try (MemoryScope inside = MemoryScope.open()) {
            sum(parameters.get(1).tensor()).backward();
          }
          assertThat(posted(world)).isEqualTo(2);
          reduction.reduce();
          assertThat(posted(world)).isEqualTo(4);
        });
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 2, 3, 4, 5, 6, 7})
  void gradientsCompletedInAnyOrder_onSomeRanksNever_neverPairDifferentBuckets(long seed) {
    int[] sizes = {3, 1, 4, 1, 5, 2};
    for (boolean divided : new boolean[] {false, true}) {
      onRanks(
          3,
          (world, device, layers) -> {
            List<Parameter> parameters = parameters(layers, sizes);
            GradientReduction reduction = new GradientReduction(world, parameters, 40, divided);
            Random random = new Random(31 * seed + world.rank());
            List<Parameter> order = new ArrayList<>(parameters);
            Collections.shuffle(order, random);
            List<Parameter> reached = order.subList(0, random.nextInt(order.size() + 1));
            reduction.lastBackward(parameters);
            try (MemoryScope inside = MemoryScope.open()) {
              for (Parameter parameter : reached) {
                Tensor p = parameter.tensor();
                sum(add(p, p)).backward();
              }
            }
            reduction.reduce();
            for (int i = 0; i < sizes.length; i++) {
              double reachedBy = 0;
              for (int rank = 0; rank < 3; rank++) {
                Random theirs = new Random(31 * seed + rank);
                List<Integer> numbers = new ArrayList<>(List.of(0, 1, 2, 3, 4, 5));
                Collections.shuffle(numbers, theirs);
                reachedBy +=
                    numbers.subList(0, theirs.nextInt(numbers.size() + 1)).contains(i) ? 1 : 0;
              }
              for (ParameterPart part : reduction.parts()) {
                NDArray gradient = part.gradient();
                if (part.parameter() == parameters.get(i) && gradient != null) {
                  assertThat(gradient.toDoubles())
                      .as("seed %d, %s", seed, part)
                      .containsOnly(doubles((int) part.size(), 2 * reachedBy));
                }
              }
            }
            clear(parameters);
          });
    }
  }

  private static double[] doubles(int count, double value) {
    double[] values = new double[count];
    Arrays.fill(values, value);
    return values;
  }

  @Test
  void bits_doNotDependOnOverlap_orBucketSize() {
    List<double[]> results = new ArrayList<>();
    for (long bytes : new long[] {1, 64, 1 << 20}) {
      for (boolean overlapped : new boolean[] {false, true}) {
        onRanks(
            3,
            (world, device, layers) -> {
              List<Parameter> parameters = parameters(layers, 7, 5, 3);
              GradientReduction reduction = new GradientReduction(world, parameters, bytes, false);
              if (overlapped) {
                reduction.lastBackward(parameters);
              }
              double[] factors = {0.1, 1e9 / 3, 1e-9 / 7};
              try (MemoryScope inside = MemoryScope.open()) {
                Tensor loss = null;
                for (Parameter parameter : parameters) {
                  Tensor term = sum(Square.square(parameter.tensor()));
                  loss = loss == null ? term : add(loss, term);
                }
                loss.backward(NDArray.full(device, DType.F64, loss.shape(), factors[world.rank()]));
              }
              reduction.reduce();
              if (world.rank() == 0) {
                double[] all =
                    parameters.stream()
                        .flatMapToDouble(
                            p -> Arrays.stream(p.tensor().gradientOrZeros().toDoubles()))
                        .toArray();
                synchronized (results) {
                  results.add(all);
                }
              }
              clear(parameters);
            });
      }
    }
    assertThat(results).hasSize(6);
    results.forEach(result -> assertThat(result).containsExactly(results.getFirst()));
  }

  @ParameterizedTest
  @CsvSource({"2,1", "2,64", "3,40", "3,100000", "4,24"})
  void divided_everyElementIsUpdatedByOneReplica_andReachesAll(int ranks, long bytes) {
    int[] sizes = {7, 2, 11, 1, 5};
    TreeMap<String, Integer> updated = new TreeMap<>();
    onRanks(
        ranks,
        (world, device, layers) -> {
          List<Parameter> parameters = parameters(layers, sizes);
          GradientReduction reduction = new GradientReduction(world, parameters, bytes, true);
          reduction.reduce();
          long mine = 0;
          for (ParameterPart part : reduction.parts()) {
            mine += part.size();
            for (long i = part.start(); i < part.end(); i++) {
              synchronized (updated) {
                updated.merge(part.parameter().name() + "[" + i + "]", 1, Integer::sum);
              }
            }
            if (part.size() > 0) {
              NDArray weight = part.weight();
              weight.kernels().fill(weight, 10 + world.rank());
            }
          }
          double before = world.allReduce(mine * (10.0 + world.rank()), ReduceOp.SUM);
          reduction.gatherWeights();
          double sum = 0;
          for (Parameter parameter : parameters) {
            for (double value : parameter.tensor().value().toDoubles()) {
              sum += value;
            }
          }
          assertThat(sum).isEqualTo(before);
          assertThat(world.statistics().count(CommunicationKind.REDUCE_SCATTER))
              .isEqualTo(reduction.bucketCount());
          assertThat(world.statistics().count(CommunicationKind.ALL_GATHER))
              .isEqualTo(reduction.bucketCount());
          assertThat(posted(world)).isZero();
          clear(parameters);
        });
    assertThat(updated).hasSize(26);
    assertThat(updated.values()).containsOnly(1);
  }

  @Test
  void steps_takeNoMemory_oncePlacesAreMade() {
    onRanks(
        2,
        (world, device, layers) -> {
          List<Parameter> parameters = parameters(layers, 700, 500);
          GradientReduction reduction = new GradientReduction(world, parameters, 4096, false);
          long live = device.memory().liveBytes();
          for (int step = 0; step < 3; step++) {
            try (MemoryScope inside = MemoryScope.open()) {
              reduction.lastBackward(parameters);
              sum(parameters.get(0).tensor()).backward();
            }
            reduction.reduce();
            assertThat(device.memory().liveBytes()).isEqualTo(live);
            clear(parameters);
            assertThat(device.memory().liveBytes()).isEqualTo(live);
          }
        });
  }
}
