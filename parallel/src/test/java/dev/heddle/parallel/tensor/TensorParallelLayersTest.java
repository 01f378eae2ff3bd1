package dev.heddle.parallel.tensor;

import static dev.heddle.ops.Reshape.reshape;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Attention;
import dev.heddle.nn.BlockContext;
import dev.heddle.nn.BlockStyle;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Mlp;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.ops.RotaryTable;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Layers divided over ranks compute what a whole layer does, forward and backward. */
class TensorParallelLayersTest {
  private static final Shape INPUT = Shape.of(2, 5, 12);

  private static void onRanks(int ranks, DType dtype, BiConsumer<Layers, Layers> body) {
    LocalWorld.run(ranks, world -> run(world, dtype, body));
  }

  private static void run(Communicator world, DType dtype, BiConsumer<Layers, Layers> body) {
    try (CpuDevice device = CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      body.accept(
          new LocalLayers(device, dtype, 5), new TensorParallelLayers(device, dtype, 5, world));
    }
  }

  private static NDArray random(Layers layers, Shape shape, long seed) {
    Random random = new Random(seed);
    double[] values = random.doubles(shape.size(), -1, 1).toArray();
    return NDArray.of(layers.device(), DType.F64, shape, values);
  }

  /** Value, input gradient and every parameter's gradient of a divided and a whole module. */
  private static <M extends Module> void assertSame(
      int ranks, Function<Layers, M> make, BiFunction<M, Tensor, Tensor> forward) {
    onRanks(
        ranks,
        DType.F64,
        (local, parallel) -> {
          M whole = make.apply(local);
          M part = make.apply(parallel);
          Tensor wholeInput = Tensor.leaf(random(local, INPUT, 1));
          Tensor partInput = Tensor.leaf(random(local, INPUT, 1));
          Tensor expected = forward.apply(whole, wholeInput);
          Tensor actual = forward.apply(part, partInput);
          assertClose("value", actual.value(), expected.value());
          expected.backward(random(local, expected.shape(), 2));
          actual.backward(random(local, expected.shape(), 2));
          assertClose("input gradient", partInput.gradientOrZeros(), wholeInput.gradientOrZeros());
          for (int i = 0; i < whole.parameters().size(); i++) {
            Parameter all = whole.parameters().get(i);
            Parameter mine = part.parameters().get(i);
            assertThat(mine.name()).isEqualTo(all.name());
            assertThat(mine.globalShape()).isEqualTo(all.globalShape());
            assertThat(mine.decays()).isEqualTo(all.decays());
            // Same initial values by global index, to the bit.
            assertThat(mine.tensor().value().toDoubles())
                .as(mine.name())
                .containsExactly(window(mine, all.tensor().value()).toDoubles());
            assertClose(
                "gradient of " + mine,
                mine.tensor().gradientOrZeros(),
                window(mine, all.tensor().gradientOrZeros()));
          }
        });
  }

  private static NDArray window(Parameter part, NDArray whole) {
    int dim = part.shardDim();
    long start = part.shardStart();
    return part.isSharded() ? whole.slice(dim, start, start + part.tensor().dim(dim)) : whole;
  }

  private static void assertClose(String what, NDArray actual, NDArray expected) {
    assertThat(actual.shape()).as(what).isEqualTo(expected.shape());
    assertThat(actual.toDoubles()).as(what).containsExactly(expected.toDoubles(), within(1e-12));
  }

  @ParameterizedTest
  @CsvSource({"1,true", "2,true", "3,false", "4,true"})
  void attention_ofDividedHeads_isTheWholeOne(int ranks, boolean causal) {
    AttentionMask mask = causal ? AttentionMask.CAUSAL : AttentionMask.FULL;
    // 4 heads: 2+1+1 over three ranks.
    assertSame(
        ranks, layers -> new Attention(layers, "a", 12, 4, mask, 0.3, 0.2), Attention::forward);
  }

  @ParameterizedTest
  @CsvSource({"1,GELU", "2,GELU", "3,SWIGLU", "4,GELU", "4,SWIGLU"})
  void mlp_ofDividedFeatures_isTheWholeOne(int ranks, Mlp.Kind kind) {
    assertSame(ranks, layers -> new Mlp(layers, "m", kind, 12, 10, 7, 0.3, 0.2), Mlp::forward);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void transformerBlock_divided_isTheWholeOne(int ranks) {
    assertSame(
        ranks,
        layers -> new TransformerBlock(layers, "b", 12, 4, AttentionMask.CAUSAL, 2),
        TransformerBlock::forward);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void chosenRowsOfABlock_divided_areThoseOfTheWholeOne(int ranks) {
    assertSame(
        ranks,
        layers -> new TransformerBlock(layers, "b", 12, 4, AttentionMask.CAUSAL, 2),
        (block, x) ->
            block.forwardRows(
                x,
                NDArray.of(x.device(), Shape.of(4), new long[] {3, 4, 7, 9}),
                BlockContext.NONE));
  }

  @Test
  void chosenRowsOfABlock_underSequenceParallelism_areRefused() {
    LocalWorld.run(
        2,
        world -> {
          try (CpuDevice device = CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE);
              MemoryScope scope = MemoryScope.open()) {
            Layers layers = new TensorParallelLayers(device, DType.F64, 5, world, true);
            assertThat(layers.isSequenceParallel()).isTrue();
            TransformerBlock block =
                new TransformerBlock(layers, "b", 12, 4, AttentionMask.CAUSAL, 2);
            Tensor x = Tensor.constant(random(layers, INPUT, 1));
            NDArray rows = NDArray.of(device, Shape.of(1), new long[] {0});
            assertThatThrownBy(() -> block.forwardRows(x, rows, BlockContext.NONE))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("use forward, and choose rows with Layers.enterRows");
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void llamaBlock_withRotaryEmbeddingAndDropout_divided_isTheWholeOne(int ranks) {
    // Complete activations are dropped by global index, so every rank drops the same.
    assertSame(
        ranks,
        layers ->
            new TransformerBlock(layers, "l", 12, 3, AttentionMask.CAUSAL, 2, BlockStyle.llama(10)),
        (block, x) ->
            block.forward(
                x,
                BlockContext.NONE
                    .withRotary(RotaryTable.of(x.device(), x.dtype(), 0, 5, 4, 10000))
                    .withDropout(0.3, RandomKey.of(4, "dropout"), GlobalIndex.whole(INPUT))));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void vocabularyHead_ofDividedWords_isTheWholeOne(int ranks) {
    assertSame(
        ranks,
        layers -> new VocabularyHead(layers, "h", 12, 23, 0.3),
        (head, x) ->
            head.lossSum(
                reshape(x, 10, 12),
                NDArray.of(
                    x.device(), Shape.of(10), new long[] {0, 22, -1, 8, 7, 15, 16, -1, 11, 3})));
  }

  @Test
  void initialValues_ofDividedParameters_areThePartsOfTheWhole_inBf16Too() {
    onRanks(
        3,
        DType.BF16,
        (local, parallel) -> {
          Parameter whole =
              local.parameter("w", Shape.of(3, 8, 5), 1, 4, new Initializer.Normal(1));
          Parameter part =
              parallel.parameter("w", Shape.of(3, 8, 5), 1, 4, new Initializer.Normal(1));
          assertThat(part.tensor().value().toDoubles())
              .containsExactly(window(part, whole.tensor().value()).toDoubles());
        });
  }

  @Test
  void units_areDividedAsEvenlyAsTheyGo_firstRanksOneMore() {
    LocalWorld.run(
        3,
        world ->
            run(
                world,
                DType.F32,
                (local, parallel) -> {
                  long[] starts = {0, 2, 3};
                  long[] counts = {2, 1, 1};
                  assertThat(parallel.unitStart(4)).isEqualTo(starts[world.rank()]);
                  assertThat(parallel.unitCount(4)).isEqualTo(counts[world.rank()]);
                  assertThat(parallel.unitCount(4))
                      .isEqualTo(Split.part(4, 3, world.rank()).size());
                  assertThat(parallel.isSplit()).isTrue();
                }));
  }

  @Test
  void fewerHeadsThanRanks_areRefused_withWhatWouldDo() {
    assertRefused(
        3,
        layers -> new Attention(layers, "vision.block0.attention", 8, 2, AttentionMask.FULL, 1, 1),
        "vision.block0.attention.qkv.weight: 2 units cannot be divided over tp=3 ranks, rank 2"
            + " would have none; use tp=2 or less");
  }

  @Test
  void fewerWordsThanRanks_areRefused() {
    assertRefused(
        4,
        layers -> new Embedding(layers, "words", 3, 8, 1),
        "words.weight: 3 units cannot be divided over tp=4 ranks, rank 3 would have none");
  }

  @Test
  void dimThatIsNotMadeOfTheUnits_isRefused() {
    assertRefused(
        2,
        layers -> layers.parameter("w", Shape.of(10, 3), 0, 4, Initializer.ZEROS),
        "parameter w: dim 0 of [10,3] does not consist of 4 equal units");
  }

  private static void assertRefused(int ranks, Consumer<Layers> make, String message) {
    assertThatThrownBy(
            () ->
                onRanks(
                    ranks,
                    DType.F32,
                    (local, parallel) -> {
                      make.accept(parallel);
                    }))
        .isInstanceOf(RankFailedException.class)
        .hasCauseInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void modelOnOneRank_isNotSplit() {
    onRanks(
        1,
        DType.F32,
        (local, parallel) -> {
          assertThat(parallel.isSplit()).isFalse();
          List<Parameter> parameters =
              new Mlp(parallel, "m", Mlp.Kind.GELU, 4, 6, 4, 1, 1).parameters();
          assertThat(parameters).noneMatch(Parameter::isSharded);
        });
  }
}
