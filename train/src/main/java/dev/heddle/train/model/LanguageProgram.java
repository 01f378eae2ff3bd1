package dev.heddle.train.model;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.parallel.layout.Interval;
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
  private final boolean tied;
  private List<Sequences> staged = List.of();

  /**
   * The program of a model.
   *
   * @param tied whether the word vectors are also the weights that score words
   */
  public LanguageProgram(LanguageModel model, boolean tied) {
    this.model = model;
    this.tied = tied;
  }

  /** Gives this rank its captions of the next step, by microbatch. */
  public void stage(List<Captions> captions) {
    List<Sequences> sequences = new ArrayList<>();
    for (Captions part : captions) {
      sequences.add(Sequences.whole(part.batch(), part.samples(), part.words(), part.targets()));
    }
    staged = sequences;
  }

  @Override
  public @Nullable Tensor forward(
      int stage, int microBatch, Map<String, Tensor> incoming, @Nullable Tensor previous) {
    Sequences sequences = staged.get(microBatch);
    return sequences.isEmpty() ? null : model.forward(stage, sequences, incoming, previous);
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
