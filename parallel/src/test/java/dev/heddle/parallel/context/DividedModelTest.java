package dev.heddle.parallel.context;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.Reshape.reshape;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.autograd.Recompute;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.BlockContext;
import dev.heddle.nn.BlockStyle;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.ops.RotaryTable;
import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.CommunicationStatistics.Traffic;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A language model whose sequences, heads, hidden features and words are divided over ranks has the
 * loss and the gradients of one rank's. Legend: B lanes, S positions, C features.
 */
class DividedModelTest {
  private static final int SIZE = 16;
  private static final int WORDS = 11;
  private static final double DROPPED = 0.3;

  /** Words, positions, two blocks and a head, written as a model that knows no parallelism. */
  private static final class Model extends Module {
    private final Layers layers;
    private final Embedding words;
    private final Parameter positions;
    private final List<TransformerBlock> blocks = new ArrayList<>();
    private final LayerNorm norm;
    private final VocabularyHead head;

    Model(Layers layers, boolean causal) {
      this.layers = layers;
      this.words = own(new Embedding(layers, "words", WORDS, SIZE, 0.5));
      this.positions =
          own(layers.parameter("positions", Shape.of(64, SIZE), new Initializer.Normal(0.5)));
      AttentionMask mask = causal ? AttentionMask.CAUSAL : AttentionMask.FULL;
      for (BlockStyle style : List.of(BlockStyle.llama(10), BlockStyle.gpt(SIZE))) {
        blocks.add(
            own(new TransformerBlock(layers, "block" + blocks.size(), SIZE, 4, mask, 1, style)));
      }
      this.norm = own(new LayerNorm(layers, "norm", SIZE));
      this.head = own(new VocabularyHead(layers, "head", SIZE, WORDS, 0.5));
    }

    /** The sum of the losses of this rank's scored positions. */
    Tensor lossSum(Text text) {
      SequenceSpec sequence = text.sequence;
      long[] held = layers.heldPositions(sequence);
      long[] entered = layers.enteredPositions(sequence);
      Tensor looked = words.forward(ids(text.words, sequence, entered), sequence);
      Tensor placed = gatherRows(positions.tensor(), array(sequence.documentPositions(held)));
      Tensor x = add(reshape(looked, sequence.lanes(), held.length, SIZE), placed);
      RotaryTable rotary =
          RotaryTable.at(
              layers.device(), layers.dtype(), sequence.documentPositions(entered), 4, 100);
      Shape whole = Shape.of(sequence.lanes(), sequence.length(), SIZE);
      BlockContext context =
          BlockContext.NONE
              .withRotary(rotary)
              .withDropout(DROPPED, RandomKey.of(9, "drop"), GlobalIndex.whole(whole))
              .withSequence(sequence);
      for (TransformerBlock block : blocks) {
        x =
            text.recomputed
                ? Recompute.recompute(input -> block.forward(input, context), x)
                : block.forward(x, context);
      }
      List<Long> rows = new ArrayList<>();
      List<Long> targets = new ArrayList<>();
      long[] wanted = RandomText.at(text.targets, sequence, entered);
      for (int row = 0; row < wanted.length; row++) {
        if (wanted[row] >= 0) {
          rows.add((long) row);
          targets.add(wanted[row]);
        }
      }
      return head.lossSum(norm.forward(x), array(rows), array(targets), sequence);
    }

    private NDArray ids(long[] all, SequenceSpec sequence, long[] entered) {
      return array(RandomText.at(all, sequence, entered));
    }

    private NDArray array(List<Long> values) {
      return array(values.stream().mapToLong(Long::longValue).toArray());
    }

    private NDArray array(long... values) {
      return NDArray.of(layers.device(), Shape.of(values.length), values);
    }
  }

  /**
   * Words and what follows them.
   *
   * @param words [B S], negative where something else stands
   * @param targets [B S], negative where nothing is to be predicted
   * @param recomputed whether blocks are computed again in the backward
   */
  @SuppressWarnings("ArrayRecordComponent")
  private record Text(SequenceSpec sequence, long[] words, long[] targets, boolean recomputed) {}

  private static final class RandomText {
    static Text draw(Random random, SequenceSpec sequence) {
      int rows = (int) (sequence.lanes() * sequence.length());
      return new Text(
          sequence,
          IntStream.range(0, rows).mapToLong(i -> random.nextInt(WORDS + 1) - 1).toArray(),
          IntStream.range(0, rows)
              .mapToLong(i -> random.nextInt(3) == 0 ? -1 : random.nextInt(WORDS))
              .toArray(),
          random.nextBoolean());
    }

    static long[] at(long[] whole, SequenceSpec sequence, long[] positions) {
      long[] part = new long[(int) sequence.lanes() * positions.length];
      for (int i = 0; i < part.length; i++) {
        long lane = i / positions.length;
        part[i] = whole[(int) (lane * sequence.length() + positions[i % positions.length])];
      }
      return part;
    }
  }

  private interface Body {
    void run(Layers local, Layers divided, Communicator world, Mesh mesh);
  }

  private static void onRanks(int tp, int cp, ContextMethod method, boolean sp, Body body) {
    Mesh mesh = HeldPositionsTest.mesh(tp, cp);
    LocalWorld.run(
        tp * cp,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              Layers divided = HeldPositionsTest.layers(device, DType.F64, mesh, world, method, sp);
              body.run(new LocalLayers(device, DType.F64, 3), divided, world, mesh);
            }));
  }

  static Stream<Arguments> divisions() {
    List<Arguments> divisions = new ArrayList<>();
    for (int cp = 1; cp <= 4; cp++) {
      for (int tp = 1; tp <= 2; tp++) {
        for (ContextMethod method : ContextMethod.values()) {
          boolean heads = 4 / tp >= cp;
          if ((cp > 1 || method == ContextMethod.RING)
              && (heads || method != ContextMethod.ALL_TO_ALL)) {
            divisions.add(Arguments.of(tp, cp, method, false));
            if (tp > 1) {
              divisions.add(Arguments.of(tp, cp, method, true));
            }
          }
        }
      }
    }
    divisions.add(Arguments.of(3, 2, ContextMethod.RING, true));
    divisions.add(Arguments.of(3, 1, ContextMethod.RING, true));
    return divisions.stream();
  }

  @ParameterizedTest
  @MethodSource("divisions")
  void model_dividedOverRanks_hasTheLossAndGradientsOfOneRank(
      int tp, int cp, ContextMethod method, boolean sequenceParallel) {
    for (int i = 0; i < 3; i++) {
      long seed = 100L * tp + 10L * cp + i;
      Random random = new Random(seed);
      boolean causal = random.nextInt(3) > 0;
      Text text = RandomText.draw(random, RandomSequences.draw(random, i % 2 == 0));
      String what = "seed " + seed + ", " + text.sequence + ", causal " + causal;
      onRanks(
          tp,
          cp,
          method,
          sequenceParallel,
          (local, divided, world, mesh) ->
              assertSame(text, causal, local, divided, world, mesh, what));
    }
  }

  private static void assertSame(
      Text text,
      boolean causal,
      Layers local,
      Layers divided,
      Communicator world,
      Mesh mesh,
      String what) {
    Model whole = new Model(local, causal);
    Model part = new Model(divided, causal);
    Tensor expected = whole.lossSum(text);
    Tensor actual = part.lossSum(text);
    expected.backward();
    actual.backward();
    Communicator cp = world.subgroup("cp", mesh.group(world.rank(), Axis.CP)).orElseThrow();
    double loss = cp.allReduce(actual.item(), ReduceOp.SUM);
    assertThat(Math.abs(loss - expected.item()) / Math.max(1, expected.item()))
        .as("loss, " + what)
        .isLessThan(1e-12);
    for (int i = 0; i < whole.parameters().size(); i++) {
      Parameter all = whole.parameters().get(i);
      Parameter mine = part.parameters().get(i);
      NDArray gradient = mine.tensor().gradientOrZeros();
      // Summands are summed over the ranks that divide the sequence, as data parallelism does.
      Communicator summed = mine.partialGradient() ? world : cp;
      summed.allReduce(gradient, ReduceOp.SUM).await();
      NDArray wanted = all.tensor().gradientOrZeros();
      int dim = mine.shardDim();
      if (mine.isSharded()) {
        long start = mine.shardStart();
        wanted = wanted.slice(dim, start, start + gradient.dim(dim));
      }
      assertThat(RandomSequences.difference(gradient.toDoubles(), wanted.toDoubles()))
          .as("gradient of " + mine + " on rank " + world.rank() + ", " + what)
          .isLessThan(1e-12);
    }
  }

  @Test
  void parametersHeldWhole_haveSummandsForGradients_onlyUnderSequenceParallelism() {
    for (boolean sp : new boolean[] {false, true}) {
      onRanks(
          2,
          2,
          ContextMethod.RING,
          sp,
          (local, divided, world, mesh) -> {
            for (Parameter parameter : new Model(divided, true).parameters()) {
              assertThat(parameter.partialGradient())
                  .as(parameter.name())
                  .isEqualTo(sp && !parameter.isSharded());
            }
            assertThat(new Model(local, true).parameters()).noneMatch(Parameter::partialGradient);
          });
    }
  }

  @Test
  void block_underSequenceAndContextParallelism_communicatesJustThis() {
    SequenceSpec sequence = SequenceSpec.of(2, 12);
    onRanks(
        2,
        2,
        ContextMethod.RING,
        true,
        (local, divided, world, mesh) -> {
          TransformerBlock block =
              new TransformerBlock(divided, "b", SIZE, 4, AttentionMask.CAUSAL, 1);
          Tensor x =
              Tensor.leaf(NDArray.full(divided.device(), DType.F64, Shape.of(2, 3, SIZE), 0.5));
          CommunicationStatistics before = world.totalStatistics().snapshot();
          Tensor y = block.forward(x, BlockContext.NONE.withSequence(sequence));
          CommunicationStatistics forward = world.totalStatistics().since(before);
          // A rank holds 3 of 12 positions of 2 lanes and works on 6; 2 heads of 4 features.
          long held = 2 * 3 * SIZE * 8;
          long keys = 2 * 6 * 2 * 2 * 4 * 8;
          assertThat(forward.of(CommunicationKind.ALL_GATHER))
              .isEqualTo(new Traffic(2, 2 * held, 2 * 2 * held));
          assertThat(forward.of(CommunicationKind.REDUCE_SCATTER))
              .isEqualTo(new Traffic(2, 2 * 2 * held, 2 * held));
          assertThat(forward.of(CommunicationKind.EXCHANGE)).isEqualTo(new Traffic(1, keys, keys));
          assertThat(forward.totalCount()).isEqualTo(5);

          before = world.totalStatistics().snapshot();
          y.backward(y.value().copy());
          CommunicationStatistics backward = world.totalStatistics().since(before);
          assertThat(backward.of(CommunicationKind.ALL_GATHER))
              .isEqualTo(new Traffic(2, 2 * held, 2 * 2 * held));
          assertThat(backward.of(CommunicationKind.REDUCE_SCATTER))
              .isEqualTo(new Traffic(2, 2 * 2 * held, 2 * held));
          // Keys and values around the ring, and their gradients home.
          assertThat(backward.of(CommunicationKind.EXCHANGE))
              .isEqualTo(new Traffic(2, 2 * keys, 2 * keys));
          assertThat(backward.totalCount()).isEqualTo(6);
        });
  }

  @Test
  void layerUnderSequenceParallelism_withoutTheSequences_isRefused() {
    assertThatThrownBy(
            () ->
                onRanks(
                    2,
                    1,
                    ContextMethod.RING,
                    true,
                    (local, divided, world, mesh) -> {
                      Shape shape = Shape.of(1, 2, SIZE);
                      new TransformerBlock(divided, "b", SIZE, 4, AttentionMask.FULL, 1)
                          .forward(Tensor.leaf(NDArray.zeros(divided.device(), DType.F64, shape)));
                    }))
        .isInstanceOf(RankFailedException.class)
        .hasMessageContaining("hand the SequenceSpec of the microbatch along");
  }
}
