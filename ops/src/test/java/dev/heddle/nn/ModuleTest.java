package dev.heddle.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Names, order, initial values, parts and memory of modules. */
class ModuleTest extends ModelTest {
  @Test
  void parameters_areNamedOnceInAFixedOrder() {
    Language model = new Language(layers(DType.F32), 6, 2, 1, BlockStyle.gpt(6));
    assertThat(model.parameters())
        .map(Parameter::name)
        .containsExactly(
            "words.weight",
            "positions",
            "block0.attention.norm.weight",
            "block0.attention.norm.bias",
            "block0.attention.qkv.weight",
            "block0.attention.qkv.bias",
            "block0.attention.output.weight",
            "block0.attention.output.bias",
            "block0.mlp.norm.weight",
            "block0.mlp.norm.bias",
            "block0.mlp.up.weight",
            "block0.mlp.up.bias",
            "block0.mlp.down.weight",
            "block0.mlp.down.bias",
            "norm.weight",
            "norm.bias",
            "head.weight");
    assertThat(model.globalParameterCount())
        .isEqualTo(42 + 30 + 12 + 3 * 36 + 18 + 36 + 6 + 12 + 144 + 24 + 144 + 6 + 12 + 42);
    assertThat(model.parameter("block0.attention.qkv.weight").globalShape())
        .isEqualTo(Shape.of(3, 6, 6));
  }

  @Test
  void sameNameTwice_isRefused_sameParameterTwice_isNot() {
    LocalLayers layers = layers(DType.F32);
    assertThatThrownBy(
            () ->
                new Module() {
                  {
                    own(new RmsNorm(layers, "norm", 3));
                    own(new RmsNorm(layers, "norm", 3));
                  }
                })
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(
            "two different parameters are called norm.weight; give their modules different names");
    RmsNorm shared = new RmsNorm(layers, "norm", 3);
    Module tied =
        new Module() {
          {
            own(shared);
            own(new LayerNorm(layers, "other", 3));
            own(shared);
          }
        };
    assertThat(tied.parameters())
        .map(Parameter::name)
        .containsExactly("norm.weight", "other.weight", "other.bias");
  }

  @Test
  void initialValues_followGpt2() {
    Language model = new Language(layers(DType.F64), 64, 4, 8, BlockStyle.gpt(64));
    assertThat(deviation(model, "block3.attention.qkv.weight")).isBetween(0.0195, 0.0205);
    assertThat(deviation(model, "block3.mlp.up.weight")).isBetween(0.0195, 0.0205);
    assertThat(deviation(model, "block3.mlp.down.weight")).isBetween(0.0195 / 4, 0.0205 / 4);
    assertThat(deviation(model, "block3.attention.output.weight"))
        .isBetween(0.0195 / 4, 0.0205 / 4);
    assertThat(values(model, "block3.mlp.up.bias")).containsOnly(0);
    assertThat(values(model, "norm.weight")).containsOnly(1);
    assertThat(values(model, "block0.mlp.up.weight"))
        .isNotEqualTo(values(model, "block1.mlp.up.weight"));
    for (Parameter parameter : model.parameters()) {
      boolean matrix = !parameter.name().contains("bias") && !parameter.name().contains("norm");
      assertThat(parameter.decays()).as(parameter.name()).isEqualTo(matrix);
    }
  }

  @Test
  void bf16Parameters_areTheRoundedF32Ones() {
    Language narrow = new Language(layers(DType.BF16), 8, 2, 1, BlockStyle.gpt(8));
    Language wide = new Language(layers(DType.F32), 8, 2, 1, BlockStyle.gpt(8));
    for (Parameter parameter : wide.parameters()) {
      assertThat(values(narrow, parameter.name()))
          .isEqualTo(parameter.tensor().value().cast(DType.BF16).toDoubles());
    }
  }

  private static double[] values(Language model, String name) {
    return model.parameter(name).tensor().value().toDoubles();
  }

  private static double deviation(Language model, String name) {
    double sum = 0;
    double[] values = values(model, name);
    for (double value : values) {
      sum += value * value;
    }
    return Math.sqrt(sum / values.length);
  }

  /** This rank's share under an uneven split: earlier ranks hold one more. No communication. */
  private record SplitLayers(LocalLayers local, int degree, int rank) implements Layers {
    @Override
    public Device device() {
      return local.device();
    }

    @Override
    public DType dtype() {
      return local.dtype();
    }

    @Override
    public long unitStart(long units) {
      return rank * (units / degree) + Math.min(rank, units % degree);
    }

    @Override
    public long unitCount(long units) {
      return units / degree + (rank < units % degree ? 1 : 0);
    }

    @Override
    public boolean isSplit() {
      return degree > 1;
    }

    @Override
    public Parameter parameter(
        String name, Shape globalShape, int splitDim, long units, Initializer initializer) {
      ParameterFactory factory = new ParameterFactory(device(), dtype(), SEED);
      long unit = splitDim == WHOLE ? 0 : globalShape.dim(splitDim) / units;
      return factory.make(
          name,
          globalShape,
          splitDim,
          unitStart(units) * unit,
          unitCount(units) * unit,
          initializer);
    }

    @Override
    public Tensor enter(Tensor x, @Nullable SequenceSpec sequence) {
      return x;
    }

    @Override
    public Tensor leave(Tensor partial, @Nullable SequenceSpec sequence) {
      return partial;
    }

    @Override
    public Tensor embedding(
        NDArray ids, Tensor table, long vocabularySize, @Nullable SequenceSpec sequence) {
      throw new UnsupportedOperationException("no communication in this test");
    }

    @Override
    public Tensor crossEntropySum(Tensor logits, NDArray targets, long vocabularySize) {
      throw new UnsupportedOperationException("no communication in this test");
    }

    @Override
    public NDArray argmax(NDArray logits, long vocabularySize) {
      throw new UnsupportedOperationException("no communication in this test");
    }
  }

  @Test
  void shardsOfEveryParameter_assembleToTheWhole() {
    LocalLayers local = layers(DType.F64);
    Language whole = new Language(local, 12, 4, 2, BlockStyle.llama(10));
    for (int degree : new int[] {2, 3}) {
      Language[] ranks = new Language[degree];
      for (int rank = 0; rank < degree; rank++) {
        ranks[rank] =
            new Language(new SplitLayers(local, degree, rank), 12, 4, 2, BlockStyle.llama(10));
      }
      for (Parameter parameter : whole.parameters()) {
        NDArray assembled = NDArray.full(device, DType.F64, parameter.globalShape(), Double.NaN);
        long elements = 0;
        for (Language rank : ranks) {
          Parameter shard = rank.parameter(parameter.name());
          NDArray value = shard.tensor().value();
          assertThat(shard.globalShape()).isEqualTo(parameter.globalShape());
          NDArray place =
              shard.isSharded()
                  ? assembled.slice(
                      shard.shardDim(),
                      shard.shardStart(),
                      shard.shardStart() + value.dim(shard.shardDim()))
                  : assembled;
          place.kernels().copy(value, place);
          elements += value.size();
        }
        assertThat(assembled.toDoubles())
            .as("%s over %d ranks", parameter.name(), degree)
            .isEqualTo(parameter.tensor().value().toDoubles());
        boolean split = ranks[0].parameter(parameter.name()).isSharded();
        assertThat(elements).isEqualTo(parameter.globalShape().size() * (split ? 1 : degree));
      }
      assertThat(ranks[0].parameter("block0.attention.qkv.weight").isSharded()).isTrue();
    }
  }

  @Test
  void partsOfALayer_sumToTheWholeLayer() {
    LocalLayers local = layers(DType.F64);
    Tensor x = Tensor.constant(values(2, 3, 12));
    double[] attention = attention(local).forward(x).value().toDoubles();
    double[] mlp = mlp(local).forward(x).value().toDoubles();
    double[] attentionSum = new double[attention.length];
    double[] mlpSum = new double[mlp.length];
    for (int rank = 0; rank < 3; rank++) {
      Layers split = new SplitLayers(local, 3, rank);
      // Biases start at 0, so that the ranks' results add up without counting one thrice.
      add(attentionSum, attention(split).forward(x));
      add(mlpSum, mlp(split).forward(x));
    }
    assertThat(attentionSum).containsExactly(attention, within(1e-12));
    assertThat(mlpSum).containsExactly(mlp, within(1e-12));
  }

  private static Attention attention(Layers layers) {
    return new Attention(layers, "a", 12, 4, AttentionMask.CAUSAL, 0.3, 0.3);
  }

  private static Mlp mlp(Layers layers) {
    return new Mlp(layers, "m", Mlp.Kind.SWIGLU, 12, 5, 12, 0.3, 0.3);
  }

  private static void add(double[] sum, Tensor part) {
    double[] values = part.value().toDoubles();
    for (int i = 0; i < values.length; i++) {
      sum[i] += values[i];
    }
  }

  @Test
  void linear_appliesItsActivation() {
    Linear linear = new Linear(layers(DType.F64), "l", 3, 4, 0.5, UnaryOperation.RELU);
    double[] y = linear.forward(Tensor.constant(values(20, 3))).value().toDoubles();
    assertThat(y).contains(0.0);
    assertThat(Arrays.stream(y).min().orElseThrow()).isEqualTo(0);
    assertThat(Arrays.stream(y).max().orElseThrow()).isPositive();
  }

  @Test
  void featuresThatHeadsDoNotDivide_areRefused() {
    for (long heads : new long[] {3, 0}) {
      assertThatThrownBy(
              () -> new Attention(layers(DType.F32), "a", 10, heads, AttentionMask.FULL, 1, 1))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "Attention a: 10 features do not divide by %d heads; choose a number of heads that"
                  + " divides the features",
              heads);
    }
  }

  private TransformerBlock block(long size, BlockStyle style) {
    return new TransformerBlock(layers(DType.F64), "b", size, 2, AttentionMask.CAUSAL, 1, style);
  }

  @Test
  void blockWithoutGradients_leavesOnlyItsResult() {
    TransformerBlock block = block(8, BlockStyle.gpt(8));
    Tensor x = Tensor.constant(values(2, 3, 8));
    long before = device.memory().liveBytes();
    Tensor y;
    try (GradientMode off = GradientMode.noGrad()) {
      y = block.forward(x);
    }
    assertThat(device.memory().liveBytes() - before).isEqualTo(y.block().byteSize());
  }

  @Test
  void block_keepsOnlyWhatItsBackwardReads() {
    long batch = 2;
    long sequence = 16;
    long size = 32;
    TransformerBlock block = block(size, BlockStyle.gpt(size));
    Tensor x = Tensor.leaf(values(batch, sequence, size));
    long unit = x.block().byteSize();
    long before = device.memory().liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      device.memory().resetPeak();
      Tensor y = block.forward(x);
      // In units of the residual stream: norm 1, qkv 3, attention 1, sum 1, norm 1, before and
      // after GELU 8, result 1; and statistics: mean and rstd of two norms, log-sum-exp of 2 heads.
      long statistics = (4 + 2) * batch * sequence * 8;
      assertThat(device.memory().liveBytes() - before).isEqualTo(16 * unit + statistics);
      // The one more is the MLP's result, which the last sum reads.
      assertThat(device.memory().peakLiveBytes() - before).isEqualTo(17 * unit + statistics);
      y.backward(NDArray.full(device, DType.F64, y.shape(), 1));
    }
    long gradients =
        block.parameters().stream()
            .mapToLong(parameter -> gradient(parameter).block().byteSize())
            .sum();
    assertThat(device.memory().liveBytes() - before).isEqualTo(gradients + unit);
  }

  @Test
  void recomputedBlocks_giveTheSameBits() {
    Language model = new Language(layers(DType.F64), 8, 2, 3, BlockStyle.llama(12));
    BlockContext context =
        BlockContext.NONE
            .withRotary(RotaryTable.of(device, DType.F64, 0, LENGTH, 4, 100))
            .withDropout(
                0.3,
                RandomKey.of(SEED, "dropout").with(1),
                GlobalIndex.whole(Shape.of(2, LENGTH, 8)));
    double[][][] gradients = new double[2][][];
    double[] losses = new double[2];
    for (int i = 0; i < 2; i++) {
      try (MemoryScope step = MemoryScope.open()) {
        Tensor loss = model.loss(ids(), targets(), context, i == 1);
        losses[i] = loss.item();
        loss.backward();
      }
      gradients[i] =
          model.parameters().stream()
              .map(parameter -> gradient(parameter).toDoubles())
              .toArray(double[][]::new);
      model.parameters().forEach(parameter -> parameter.tensor().clearGradient());
    }
    assertThat(losses[1]).isEqualTo(losses[0]);
    assertThat(gradients[1]).isDeepEqualTo(gradients[0]);
  }

  @Test
  void dropout_changesWithStepAndPlaceAndIsOffInEvaluation() {
    TransformerBlock block = block(8, BlockStyle.gpt(8));
    Tensor x = Tensor.constant(values(1, 4, 8));
    RandomKey key = RandomKey.of(SEED, "dropout");
    GlobalIndex index = GlobalIndex.whole(x.shape());
    BlockContext first = BlockContext.NONE.withDropout(0.5, key.with(1), index);
    BlockContext second = BlockContext.NONE.withDropout(0.5, key.with(2), index);
    double[] y = block.forward(x, first).value().toDoubles();
    assertThat(block.forward(x, first).value().toDoubles()).isEqualTo(y);
    assertThat(block.forward(x, second).value().toDoubles()).isNotEqualTo(y);
    assertThat(block.forward(x).value().toDoubles()).isNotEqualTo(y);
    // With attention and MLP both giving 1 everywhere, equal masks would add 0 or 4.
    for (Parameter parameter : block.parameters()) {
      boolean lastBias =
          parameter.name().endsWith("output.bias") || parameter.name().endsWith("down.bias");
      NDArray value = parameter.tensor().value();
      value.kernels().fill(value, lastBias ? 1 : 0);
    }
    NDArray zeros = NDArray.zeros(device, DType.F64, x.shape());
    assertThat(block.forward(Tensor.constant(zeros), first).value().toDoubles())
        .containsOnly(0, 2, 4)
        .contains(2);
  }

  @Test
  void rotaryBlock_dependsOnDistanceOnly() {
    TransformerBlock block = block(8, BlockStyle.llama(12));
    Tensor x = Tensor.constant(values(1, 4, 8));
    double[][] y = new double[2][];
    for (int i = 0; i < 2; i++) {
      RotaryTable table = RotaryTable.of(device, DType.F64, 50L * i, 4, 4, 100);
      y[i] = block.forward(x, BlockContext.NONE.withRotary(table)).value().toDoubles();
    }
    assertThat(y[1]).containsExactly(y[0], within(1e-12));
    assertThat(block.forward(x).value().toDoubles()).isNotEqualTo(y[0]);
  }

  /** What a plan says about memory is what a run will use. */
  @Test
  void metaDevice_countsTheBytesThatACpuUses() {
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope metaScope = MemoryScope.open()) {
      long[] planned = peakAndGradients(meta);
      long[] used = peakAndGradients(device);
      assertThat(planned).isEqualTo(used);
    }
  }

  /** The peak of a forward and backward, and what is left after it. */
  private static long[] peakAndGradients(Device device) {
    try (MemoryScope all = MemoryScope.open()) {
      LocalLayers layers = new LocalLayers(device, DType.F32, SEED);
      Language model = new Language(layers, 24, 2, 2, BlockStyle.gpt(24));
      NDArray ids = NDArray.zeros(device, DType.I64, 20 * LENGTH);
      long before = device.memory().liveBytes();
      device.memory().resetPeak();
      try (MemoryScope step = MemoryScope.open()) {
        model.loss(ids, ids, BlockContext.NONE, false).backward();
      }
      return new long[] {
        device.memory().peakLiveBytes() - before, device.memory().liveBytes() - before
      };
    }
  }
}
