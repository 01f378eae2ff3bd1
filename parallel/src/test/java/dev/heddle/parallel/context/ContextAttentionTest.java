package dev.heddle.parallel.context;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.ops.RotaryTable;
import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Attention of ranks that divide sequences is that of one rank, value and gradient. Legend: B
 * lanes, S positions, H heads, D head size.
 */
class ContextAttentionTest {
  private static final int HEAD_SIZE = 4;

  /** A random problem; the same on every rank. */
  private record Problem(
      long seed,
      ContextMethod method,
      SequenceSpec sequence,
      boolean causal,
      int heads,
      int keyHeads,
      boolean rotary,
      DType dtype,
      double[] qkv,
      double[] dy) {
    static Problem draw(
        long seed, ContextMethod method, int ranks, boolean causal, boolean packed, DType dtype) {
      Random random = new Random(seed);
      SequenceSpec sequence = RandomSequences.draw(random, packed);
      boolean trades = method == ContextMethod.ALL_TO_ALL;
      int keyHeads = (trades ? ranks : 1) + random.nextInt(2);
      int heads = keyHeads * (1 + random.nextInt(2));
      long rows = sequence.lanes() * sequence.length();
      return new Problem(
          seed,
          method,
          sequence,
          causal,
          heads,
          keyHeads,
          random.nextBoolean(),
          dtype,
          RandomSequences.values(random, rows * (heads + 2L * keyHeads) * HEAD_SIZE),
          RandomSequences.values(random, rows * heads * HEAD_SIZE));
    }

    Outcome compute(Layers layers) {
      long[] positions = layers.enteredPositions(sequence);
      int inputs = (heads + 2 * keyHeads) * HEAD_SIZE;
      Shape shape = Shape.of(sequence.lanes(), positions.length, heads + 2L * keyHeads, HEAD_SIZE);
      Tensor leaf = leaf(layers, shape, RandomSequences.at(qkv, sequence, positions, inputs));
      RotaryTable table =
          rotary
              ? RotaryTable.at(
                  layers.device(), dtype, sequence.documentPositions(positions), HEAD_SIZE, 100)
              : null;
      AttentionMask mask = causal ? AttentionMask.CAUSAL : AttentionMask.FULL;
      Tensor y = layers.attention(leaf, heads, mask, 0.7, sequence, table);
      double[] gradient = RandomSequences.at(dy, sequence, positions, heads * HEAD_SIZE);
      y.backward(NDArray.of(layers.device(), dtype, y.shape(), gradient));
      return new Outcome(y.value().toDoubles(), leaf.gradientOrZeros().toDoubles());
    }

    private Tensor leaf(Layers layers, Shape shape, double[] values) {
      return Tensor.leaf(NDArray.of(layers.device(), dtype, shape, values));
    }

    /** What a rank that has the given positions must get. */
    Outcome at(Outcome whole, long[] positions) {
      return new Outcome(
          RandomSequences.at(whole.y, sequence, positions, heads * HEAD_SIZE),
          RandomSequences.at(whole.dqkv, sequence, positions, (heads + 2 * keyHeads) * HEAD_SIZE));
    }

    @Override
    public String toString() {
      return method
          + ", seed "
          + seed
          + ": "
          + sequence
          + ", "
          + heads
          + " heads of q, "
          + keyHeads
          + " of k, causal "
          + causal
          + ", rotary "
          + rotary;
    }
  }

  private record Outcome(double[] y, double[] dqkv) {}

  private interface Body {
    void run(Layers local, Layers divided, Communicator world);
  }

  private static void onRanks(
      int ranks, ContextMethod method, DType dtype, CpuBackend backend, Body body) {
    LocalWorld.run(
        ranks,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, backend),
            (world, device) -> {
              Layers local = new LocalLayers(device, dtype, 1);
              body.run(local, new ContextParallelLayers(local, world, method), world);
            }));
  }

  private static void assertSame(Problem problem, int ranks, CpuBackend backend, double tolerance) {
    onRanks(
        ranks,
        problem.method,
        problem.dtype,
        backend,
        (local, divided, world) -> {
          Outcome whole = problem.compute(local);
          Outcome expected = problem.at(whole, divided.enteredPositions(problem.sequence));
          Outcome actual = problem.compute(divided);
          assertThat(RandomSequences.difference(actual.y, expected.y))
              .as("value on rank %d of %d, %s", world.rank(), ranks, problem)
              .isLessThan(tolerance);
          assertThat(RandomSequences.difference(actual.dqkv, expected.dqkv))
              .as("gradient on rank %d of %d, %s", world.rank(), ranks, problem)
              .isLessThan(tolerance);
        });
  }

  static Stream<Arguments> kinds() {
    List<Arguments> kinds = new ArrayList<>();
    for (ContextMethod method : ContextMethod.values()) {
      for (int ranks = 1; ranks <= 4; ranks++) {
        for (boolean causal : new boolean[] {true, false}) {
          for (boolean packed : new boolean[] {true, false}) {
            kinds.add(Arguments.of(method, ranks, causal, packed));
          }
        }
      }
    }
    return kinds.stream();
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void attention_ofDividedSequences_isThatOfWholeOnes(
      ContextMethod method, int ranks, boolean causal, boolean packed) {
    for (int i = 0; i < 6; i++) {
      long seed = 1000L * ranks + i;
      assertSame(
          Problem.draw(seed, method, ranks, causal, packed, DType.F64),
          ranks,
          CpuBackend.REFERENCE,
          1e-12);
    }
  }

  @ParameterizedTest
  @EnumSource(ContextMethod.class)
  void attention_inTheTypesOfTraining_isThatOfWholeSequencesToRounding(ContextMethod method) {
    for (int i = 0; i < 4; i++) {
      assertSame(
          Problem.draw(i, method, 3, i % 2 == 0, i < 2, DType.F32), 3, CpuBackend.BEST, 2e-5);
      assertSame(
          Problem.draw(i, method, 3, i % 2 == 0, i < 2, DType.BF16), 3, CpuBackend.BEST, 0.05);
    }
  }

  @ParameterizedTest
  @EnumSource(ContextMethod.class)
  void attention_computedAgain_hasTheSameBits(ContextMethod method) {
    Problem problem = Problem.draw(77, method, 3, true, true, DType.F64);
    onRanks(
        3,
        method,
        DType.F64,
        CpuBackend.REFERENCE,
        (local, divided, world) -> {
          Outcome first = problem.compute(divided);
          Outcome second = problem.compute(divided);
          assertThat(second.y).containsExactly(first.y);
          assertThat(second.dqkv).containsExactly(first.dqkv);
        });
  }

  /** 2 lanes of 13 positions, 4 heads of q and 2 of k, in F64: what a position's k and v take. */
  private static final long KV_BYTES = 2 * 2 * 2 * HEAD_SIZE * 8;

  private static Problem counted(ContextMethod method, int ranks) {
    SequenceSpec sequence = SequenceSpec.of(2, 13);
    Random random = new Random(3);
    int heads = method == ContextMethod.ALL_TO_ALL ? 2 * ranks : 4;
    int keyHeads = method == ContextMethod.ALL_TO_ALL ? ranks : 2;
    double[] qkv = RandomSequences.values(random, 26L * (heads + 2L * keyHeads) * HEAD_SIZE);
    double[] dy = RandomSequences.values(random, 26L * heads * HEAD_SIZE);
    return new Problem(3, method, sequence, true, heads, keyHeads, false, DType.F64, qkv, dy);
  }

  private static CommunicationStatistics communicated(Communicator world, Runnable work) {
    CommunicationStatistics before = world.statistics().snapshot();
    work.run();
    return world.statistics().since(before);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4})
  void ring_sendsKeysOnceAroundEachWay_andTheirGradientsHome(int ranks) {
    Problem problem = counted(ContextMethod.RING, ranks);
    ContextPlan plan = ContextPlan.of(problem.sequence, ranks, true);
    onRanks(
        ranks,
        ContextMethod.RING,
        DType.F64,
        CpuBackend.REFERENCE,
        (local, divided, world) -> {
          CommunicationStatistics all = communicated(world, () -> problem.compute(divided));
          int backward = ranks == 2 ? 2 : ranks + 1;
          assertThat(all.totalCount()).isEqualTo(ranks - 1 + backward);
          assertThat(all.count(CommunicationKind.EXCHANGE)).isEqualTo(ranks - 1 + backward);
          // Every part passes through every rank but does not come back: keys and values twice.
          long passed = 0;
          for (int step = 0; step < ranks - 1; step++) {
            passed += 2 * plan.size(plan.keysOf(world.rank(), step));
          }
          // Gradients begin at the first rank that is not the owner.
          for (int step = 1; step < ranks; step++) {
            passed += plan.size(plan.keysOf(world.rank(), step));
          }
          assertThat(all.of(CommunicationKind.EXCHANGE).sentBytes()).isEqualTo(passed * KV_BYTES);
        });
  }

  @Test
  void ring_computesWhileKeysTravel() {
    Problem problem = counted(ContextMethod.RING, 3);
    ContextPlan plan = ContextPlan.of(problem.sequence, 3, true);
    onRanks(
        3,
        ContextMethod.RING,
        DType.F64,
        CpuBackend.REFERENCE,
        (local, divided, world) -> {
          List<String> events = new ArrayList<>();
          problem.compute(
              new ContextParallelLayers(
                  local, new RecordingCommunicator(world, events), ContextMethod.RING));
          // A poll follows each tile: the tiles of a step lie between its post and its await. In
          // the last step forward nothing travels, in the last one backward gradients do.
          List<String> expected = new ArrayList<>();
          for (int step : new int[] {0, 1, 0, 1, 2}) {
            expected.add("post");
            plan.ringTiles(world.rank(), step).forEach(tile -> expected.add("poll"));
            expected.add("await");
          }
          // The gradients of the last step go home when all is computed.
          expected.add("post");
          expected.add("await");
          assertThat(events).containsExactlyElementsOf(expected);
        });
  }

  @Test
  void allGather_gathersEachChunkOnce_andScattersGradientsOnce() {
    Problem problem = counted(ContextMethod.ALL_GATHER, 3);
    ContextPlan plan = ContextPlan.of(problem.sequence, 3, true);
    onRanks(
        3,
        ContextMethod.ALL_GATHER,
        DType.F64,
        CpuBackend.REFERENCE,
        (local, divided, world) -> {
          CommunicationStatistics all = communicated(world, () -> problem.compute(divided));
          assertThat(all.totalCount()).isEqualTo(4);
          assertThat(all.of(CommunicationKind.ALL_GATHER))
              .isEqualTo(
                  new CommunicationStatistics.Traffic(
                      2, plan.size(world.rank()) * KV_BYTES, 13 * KV_BYTES));
          assertThat(all.of(CommunicationKind.REDUCE_SCATTER))
              .isEqualTo(
                  new CommunicationStatistics.Traffic(
                      2, 13 * KV_BYTES, plan.size(world.rank()) * KV_BYTES));
        });
  }

  @Test
  void allToAll_tradesTwiceEachWay_andSendsOnlyWhatOthersNeed() {
    Problem problem = counted(ContextMethod.ALL_TO_ALL, 3);
    ContextPlan plan = ContextPlan.of(problem.sequence, 3, true);
    onRanks(
        3,
        ContextMethod.ALL_TO_ALL,
        DType.F64,
        CpuBackend.REFERENCE,
        (local, divided, world) -> {
          CommunicationStatistics all = communicated(world, () -> problem.compute(divided));
          assertThat(all.totalCount()).isEqualTo(4);
          assertThat(all.count(CommunicationKind.EXCHANGE)).isEqualTo(4);
          // Of 6 + 2 * 3 heads in and 6 out, two thirds of the own positions go to others, and a
          // third of the others' result goes back; the backward is the mirror image.
          long own = plan.size(world.rank());
          long lane = 2 * HEAD_SIZE * 8L;
          long forward = own * 12 / 3 * 2 + (13 - own) * 6 / 3;
          long backward = own * 6 / 3 * 2 + (13 - own) * 12 / 3;
          assertThat(all.of(CommunicationKind.EXCHANGE).sentBytes())
              .isEqualTo((forward + backward) * lane);
        });
  }

  @Test
  void allToAll_withFewerHeadsThanRanks_isRefusedWithWhatWouldDo() {
    Problem problem = counted(ContextMethod.RING, 3);
    assertRefused(
        ContextMethod.ALL_TO_ALL,
        problem::compute,
        "2 heads of keys cannot be divided over cp=3 ranks, rank 2 would have none; use cp=2 or"
            + " less, or the method ring or all-gather");
  }

  @Test
  void attention_withoutTheSequencesOrWithOthers_isRefused() {
    Problem problem = counted(ContextMethod.RING, 3);
    assertRefused(
        ContextMethod.RING, layers -> attend(problem, layers, null), "hand the SequenceSpec");
    assertRefused(
        ContextMethod.RING,
        layers -> attend(problem, layers, SequenceSpec.of(2, 20)),
        "got heads [2,13,8,4]; wanted [2,");
  }

  private static void attend(Problem problem, Layers layers, @Nullable SequenceSpec sequence) {
    Shape shape = Shape.of(2, 13, 8, HEAD_SIZE);
    Tensor heads = Tensor.leaf(NDArray.of(layers.device(), DType.F64, shape, problem.qkv));
    layers.attention(heads, 4, AttentionMask.CAUSAL, 1, sequence, null);
  }

  private static void assertRefused(ContextMethod method, Consumer<Layers> work, String message) {
    assertThatThrownBy(
            () ->
                onRanks(
                    3,
                    method,
                    DType.F64,
                    CpuBackend.REFERENCE,
                    (local, divided, world) -> work.accept(divided)))
        .isInstanceOf(RankFailedException.class)
        .hasCauseInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }
}
