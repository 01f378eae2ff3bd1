package dev.heddle.train.model;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.component.StagedArray;
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The language component on one rank: predicts the captions staged for it. */
public final class LanguageProgram implements StagedProgram {
  /**
   * The captions of the samples of a data lane.
   *
   * @param batch the lengths of all samples of the microbatch
   * @param samples which of them the lane has
   * @param words for each of these the words that are read, begin mark first
   * @param targets for each of these the word that follows each position, -1 where none counts
   */
  public record Captions(FusedBatch batch, Interval samples, int[][] words, int[][] targets) {}

  private final LanguageModel model;
  private final Layers layers;
  private final boolean tied;
  private final boolean rowsInPlace;
  private final List<StagedArray> ids = new ArrayList<>();
  private final List<StagedArray> targets = new ArrayList<>();
  private List<Sequences> staged = List.of();
  private boolean fixed;

  /**
   * The program of a model made with {@code layers}.
   *
   * @param tied whether the word vectors are also the weights that score words
   * @param rowsInPlace whether encoders' rows arrive at their places among zeros, as they do where
   *     ranks divide sequences
   */
  public LanguageProgram(LanguageModel model, Layers layers, boolean tied, boolean rowsInPlace) {
    this.model = model;
    this.layers = layers;
    this.tied = tied;
    this.rowsInPlace = rowsInPlace;
  }

  /** Gives this rank its captions of the next step, by microbatch. */
  public void stage(List<Captions> captions) {
    List<Sequences> sequences = new ArrayList<>();
    for (Captions part : captions) {
      SequenceSpec spec = part.batch().sequences(part.samples());
      sequences.add(
          Sequences.of(
              part.batch(),
              part.samples(),
              part.words(),
              part.targets(),
              layers.heldPositions(spec),
              layers.enteredPositions(spec),
              rowsInPlace));
    }
    staged = sequences;
    for (int i = 0; i < sequences.size(); i++) {
      stage(ids, i, sequences.get(i).ids());
      stage(targets, i, sequences.get(i).targets());
    }
  }

  private void stage(List<StagedArray> arrays, int microBatch, long[] values) {
    if (arrays.size() == microBatch) {
      StagedArray made = new StagedArray(layers.device(), DType.I64);
      if (fixed) {
        made.fix();
      }
      arrays.add(made);
    }
    arrays.get(microBatch).stage(Shape.of(values.length), values);
  }

  @Override
  public boolean fixInputs() {
    fixed = true;
    ids.forEach(StagedArray::fix);
    targets.forEach(StagedArray::fix);
    return true;
  }

  @Override
  public Object shapeOfStep() {
    return staged.stream().map(Sequences::shape).toList();
  }

  @Override
  public @Nullable Tensor forward(
      int stage, int microBatch, Map<String, Tensor> incoming, @Nullable Tensor previous) {
    Sequences sequences = staged.get(microBatch);
    if (sequences.isEmpty()) {
      return null;
    }
    LanguageModel.Words words =
        new LanguageModel.Words(ids.get(microBatch)::array, targets.get(microBatch)::array);
    return model.forward(stage, sequences, words, incoming, previous);
  }

  @Override
  public @Nullable Shape inputShape(int stage, int microBatch) {
    Sequences sequences = staged.get(microBatch);
    return stage == 0 || sequences.isEmpty()
        ? null
        : Shape.of(sequences.spec().lanes(), sequences.held().length, model.size());
  }

  @Override
  public List<Parameter> parameters() {
    return model.parameters();
  }

  @Override
  public Map<String, List<Integer>> sharedParameters() {
    int last = model.stages().last();
    return tied && last > 0 ? Map.of(LanguageModel.WORDS + ".weight", List.of(0, last)) : Map.of();
  }

  @Override
  public long validTokens() {
    boolean scores = model.stages().runs(model.stages().last());
    return scores ? staged.stream().mapToLong(Sequences::validTokens).sum() : 0;
  }
}
