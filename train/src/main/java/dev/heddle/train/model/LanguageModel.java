package dev.heddle.train.model;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.PlaceRows.placeRows;
import static dev.heddle.ops.Reshape.reshape;
import static dev.heddle.ops.Slice.slice;

import dev.heddle.autograd.Recompute;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.BlockContext;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.ops.RowPlacement;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A causal transformer over fused sequences: a sample's encoder rows, then its words. Scores, and
 * what the last block has behind its attention, are computed only where a word is to be predicted.
 * It may be one rank's stages of the whole model: the first stage has the word vectors and
 * positions, the last the final norm and the head, and a rank makes no other parameters than its
 * stages'.
 */
public final class LanguageModel extends Module {
  /** The parameter that a model with tied embeddings has in its first and its last stage. */
  static final String WORDS = "language.words";

  private final Layers layers;
  private final int size;
  private final boolean recompute;
  private final Stages stages;
  private final @Nullable Entry entry;
  private final Map<Integer, TransformerBlock> blocks = new TreeMap<>();
  private final @Nullable Exit exit;

  /** What stands before the blocks. */
  private record Entry(Embedding words, Parameter positions) {}

  /** What stands behind the blocks. */
  private record Exit(LayerNorm norm, VocabularyHead head) {}

  /** The whole model, of {@code vocabularySize} words. */
  public LanguageModel(Layers layers, ModelConfig.Language sizes, int vocabularySize) {
    this(layers, sizes, vocabularySize, Stages.whole(sizes.layers()));
  }

  /** The stages of a model that this rank runs. */
  public LanguageModel(
      Layers layers, ModelConfig.Language sizes, int vocabularySize, Stages stages) {
    this.layers = layers;
    this.size = sizes.hiddenSize();
    this.recompute = sizes.recompute();
    this.stages = stages;
    double deviation = TransformerBlock.DEVIATION;
    boolean first = stages.runs(0);
    boolean last = stages.runs(stages.last());
    Embedding words =
        first || (last && sizes.tiedEmbeddings())
            ? own(new Embedding(layers, WORDS, vocabularySize, size, deviation))
            : null;
    this.entry = words != null && first ? new Entry(words, own(positions(sizes))) : null;
    for (int stage : stages.mine()) {
      Interval mine = stages.blocks().get(stage);
      for (int i = (int) mine.start(); i < mine.end(); i++) {
        blocks.put(i, own(block(sizes, i)));
      }
    }
    if (last) {
      LayerNorm norm = own(new LayerNorm(layers, "language.norm", size));
      VocabularyHead head =
          words != null && sizes.tiedEmbeddings()
              ? new VocabularyHead(layers, words.weight(), vocabularySize)
              : new VocabularyHead(layers, "language.head", size, vocabularySize, deviation);
      this.exit = new Exit(norm, own(head));
    } else {
      this.exit = null;
    }
  }

  private Parameter positions(ModelConfig.Language sizes) {
    return layers.parameter(
        "language.positions",
        Shape.of(sizes.contextLength(), size),
        new Initializer.Normal(TransformerBlock.DEVIATION));
  }

  private TransformerBlock block(ModelConfig.Language sizes, int index) {
    return new TransformerBlock(
        layers,
        "language.block" + index,
        size,
        sizes.heads(),
        AttentionMask.CAUSAL,
        sizes.layers());
  }

  /** The stages, and which of them this rank runs. */
  public Stages stages() {
    return stages;
  }

  /** Features of a position. */
  public int size() {
    return size;
  }

  /**
   * The words of sequences on the device; asked for where they are used.
   *
   * @param ids {@link Sequences#ids}, I64
   * @param targets {@link Sequences#targets}, I64
   */
  public record Words(Supplier<NDArray> ids, Supplier<NDArray> targets) {}

  private Words words(Sequences sequences) {
    return new Words(
        () -> Sequences.onDevice(layers.device(), sequences.ids()),
        () -> Sequences.onDevice(layers.device(), sequences.targets()));
  }

  /** One stage, with the words that the sequences have. */
  public Tensor forward(
      int stage, Sequences sequences, Map<String, Tensor> rows, @Nullable Tensor previous) {
    return forward(stage, sequences, words(sequences), rows, previous);
  }

  /**
   * One stage.
   *
   * @param stage a stage of this rank
   * @param words the sequences' words, which are looked at instead of those in {@code sequences}
   * @param rows for the first stage the encoders' rows by encoder: in the order of the samples, or
   *     at their places where {@code sequences} says so
   * @param previous what the stage before handed on, [lanes, positions held, features]; null for
   *     the first
   * @return what the next stage takes in; for the last stage the sum of the losses of the scored
   *     positions, one element
   */
  public Tensor forward(
      int stage,
      Sequences sequences,
      Words words,
      Map<String, Tensor> rows,
      @Nullable Tensor previous) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor x = through(stage, sequences, words, rows, previous);
      if (stage < stages.last()) {
        return inside.keep(x);
      }
      NDArray targets = words.targets().get();
      Tensor normed = exit().norm.forward(x);
      return inside.keep(
          endsInScoredRows()
              ? exit().head.lossSum(normed, targets)
              : exit().head.lossSum(normed, scored(sequences), targets, sequences.spec()));
    }
  }

  /** All stages: the sum of the losses of the scored positions, one element. */
  public Tensor lossSum(Sequences sequences, Map<String, Tensor> rows) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor x = null;
      for (int stage = 0; stage < stages.count(); stage++) {
        x = forward(stage, sequences, rows, x);
      }
      return inside.keep(Objects.requireNonNull(x));
    }
  }

  /** The most probable next word at each scored position, [scored] I64; for a whole model. */
  public NDArray mostProbable(Sequences sequences, Map<String, Tensor> rows) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor x = null;
      for (int stage = 0; stage < stages.count(); stage++) {
        x = through(stage, sequences, words(sequences), rows, x);
      }
      Tensor normed = exit().norm.forward(Objects.requireNonNull(x));
      return inside.keep(
          endsInScoredRows()
              ? exit().head.mostProbable(normed)
              : exit().head.mostProbable(normed, scored(sequences), sequences.spec()));
    }
  }

  private Tensor through(
      int stage,
      Sequences sequences,
      Words words,
      Map<String, Tensor> rows,
      @Nullable Tensor previous) {
    stages.require(stage, "language model");
    Tensor x = stage == 0 ? entered(sequences, words, rows) : Objects.requireNonNull(previous);
    BlockContext context = BlockContext.NONE.withSequence(sequences.spec());
    Interval mine = stages.blocks().get(stage);
    for (int i = (int) mine.start(); i < mine.end(); i++) {
      TransformerBlock block = Objects.requireNonNull(blocks.get(i));
      boolean ends = stage == stages.last() && i == mine.end() - 1 && endsInScoredRows();
      Function<Tensor, Tensor> forward =
          ends
              ? input -> block.forwardRows(input, scored(sequences), context)
              : input -> block.forward(input, context);
      x = recompute ? Recompute.recompute(forward, x) : forward.apply(x);
    }
    return x;
  }

  /**
   * Whether the last block goes on with the scored rows only, [scored, features]: nothing comes
   * after it that looks at the others. With sequence parallelism no rank has all rows there.
   */
  private boolean endsInScoredRows() {
    return stages.blocks().get(stages.last()).size() > 0 && !layers.isSequenceParallel();
  }

  /** Words and encoder rows at their positions, [lanes, positions held, features]. */
  private Tensor entered(Sequences sequences, Words words, Map<String, Tensor> rows) {
    Entry start = Objects.requireNonNull(entry);
    long held = sequences.held().length;
    Tensor x = start.words.forward(words.ids().get(), sequences.spec());
    for (Map.Entry<String, Tensor> encoder : rows.entrySet()) {
      long[] places = sequences.rowPlaces().get(encoder.getKey());
      x =
          places == null
              ? add(x, encoder.getValue())
              : placeRows(
                  x, RowPlacement.of(layers.device(), x.dim(0), places), encoder.getValue());
    }
    Tensor table = start.positions.tensor();
    Tensor positions =
        sequences.isWhole()
            ? slice(table, 0, 0, held)
            : gatherRows(table, Sequences.onDevice(layers.device(), sequences.documentPositions()));
    return add(reshape(x, sequences.spec().lanes(), held, size), positions);
  }

  /** Which of the entered positions are scored, [scored]. */
  private NDArray scored(Sequences sequences) {
    return Sequences.onDevice(layers.device(), sequences.scoredPlaces());
  }

  private Exit exit() {
    return Objects.requireNonNull(exit);
  }
}
