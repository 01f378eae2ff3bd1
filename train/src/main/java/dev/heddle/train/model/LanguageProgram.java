package dev.heddle.train.model;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.runtime.Device;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The language component on one rank: predicts the captions staged for it. */
public final class LanguageProgram implements ComponentProgram {
  /**
   * The captions of some samples.
   *
   * @param words for each sample the words that are read, begin mark first, padded to one length
   * @param targets for each sample the word that follows each position, -1 for padding
   */
  public record Captions(int[][] words, int[][] targets) {}

  private final LanguageModel model;
  private final Device device;
  private final int imageRows;
  private final String imageSource;
  private List<Captions> staged = List.of();
  private long validTokens;

  /**
   * The program of a model made with {@code layers}.
   *
   * @param imageSource the component that the image rows come from
   * @param imageRows rows of one picture
   */
  public LanguageProgram(LanguageModel model, Layers layers, String imageSource, int imageRows) {
    this.model = model;
    this.device = layers.device();
    this.imageSource = imageSource;
    this.imageRows = imageRows;
  }

  /** Gives this rank its captions of the next step, by microbatch. */
  public void stage(List<Captions> captions) {
    staged = captions;
    validTokens = 0;
    for (Captions part : captions) {
      for (int[] targets : part.targets()) {
        for (int target : targets) {
          validTokens += target >= 0 ? 1 : 0;
        }
      }
    }
  }

  @Override
  public @Nullable Tensor forward(int microBatch, Map<String, Tensor> incoming) {
    Captions captions = staged.get(microBatch);
    if (captions.words().length == 0) {
      return null;
    }
    Tensor rows = incoming.get(imageSource);
    Sequences sequences =
        Sequences.of(device, rows == null ? 0 : imageRows, captions.words(), captions.targets());
    return model.lossSum(sequences, rows);
  }

  @Override
  public List<Parameter> parameters() {
    return model.parameters();
  }

  @Override
  public long validTokens() {
    return validTokens;
  }
}
