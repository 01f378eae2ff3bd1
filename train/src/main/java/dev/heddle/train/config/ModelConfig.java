package dev.heddle.train.config;

/**
 * The sizes of the captioning model: vision encoder, projector, causal language model.
 *
 * @param vision the vision encoder
 * @param projector the two-layer map from vision features to language features; it belongs to the
 *     vision component
 * @param language the language model
 */
public record ModelConfig(Vision vision, Projector projector, Language language) {

  /**
   * A vision transformer.
   *
   * @param layers transformer blocks
   * @param hiddenSize features of a patch
   * @param heads attention heads
   * @param patchSize side of a square patch in pixels
   * @param imageSize side of the square picture in pixels
   */
  public record Vision(int layers, int hiddenSize, int heads, int patchSize, int imageSize) {

    /** Features of one head. */
    public int headSize() {
      return hiddenSize / heads;
    }

    /** Patches of one picture: its rows in the language model's sequence. */
    public int patchCount() {
      int side = imageSize / patchSize;
      return side * side;
    }
  }

  /**
   * The projector.
   *
   * @param hiddenSize features between its two layers
   */
  public record Projector(int hiddenSize) {}

  /**
   * A causal language model.
   *
   * @param layers transformer blocks
   * @param hiddenSize features of a token
   * @param heads attention heads
   * @param contextLength longest sequence, image rows included
   */
  public record Language(int layers, int hiddenSize, int heads, int contextLength) {

    /** Features of one head. */
    public int headSize() {
      return hiddenSize / heads;
    }
  }
}
