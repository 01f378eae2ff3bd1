package dev.heddle.parallel.context;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.ops.RotaryTable;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

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
        world -> {
          try (CpuDevice device = CpuDevice.open("cpu:" + world.rank(), 1, backend);
              MemoryScope scope = MemoryScope.open()) {
            Layers local = new LocalLayers(device, dtype, 1);
            body.run(local, new ContextParallelLayers(local, world, method), world);
          }
        });
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
}
