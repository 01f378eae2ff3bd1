package dev.heddle.train.config;

import org.jspecify.annotations.Nullable;

/**
 * The sizes of the captioning model: encoders, projector, causal language model.
 *
 * @param vision the vision encoder
 * @param audio the audio encoder; null where the model has none
 * @param projector the two-layer map from an encoder's features to language features; each encoder
 *     has its own
 * @param language the language model
 */
public record ModelConfig(
    Vision vision, @Nullable Audio audio, Projector projector, Language language) {

  /** A model of pictures and words only. */
  public ModelConfig(Vision vision, Projector projector, Language language) {
    this(vision, null, projector, language);
  }

  /**
   * A vision transformer.
   *
   * @param layers transformer blocks
   * @param hiddenSize features of a patch
   * @param heads attention heads
   * @param patchSize side of a square patch in pixels
   * @param imageSize side of the square picture in pixels
   * @param recompute whether blocks are computed again in the backward instead of kept
   */
  public record Vision(
      int layers, int hiddenSize, int heads, int patchSize, int imageSize, boolean recompute) {

    /** An encoder that keeps what its blocks computed. */
    public Vision(int layers, int hiddenSize, int heads, int patchSize, int imageSize) {
      this(layers, hiddenSize, heads, patchSize, imageSize, false);
    }

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
   * A transformer over the spectrogram of a sound.
   *
   * @param layers transformer blocks
   * @param hiddenSize features of a row
   * @param heads attention heads
   * @param framesPerRow consecutive frames of the spectrogram that make one row
   * @param recompute whether blocks are computed again in the backward instead of kept
   */
  public record Audio(int layers, int hiddenSize, int heads, int framesPerRow, boolean recompute) {

    /** Rows of a sound in the language model's sequence; the last may be filled up with silence. */
    public int rowCount(int frames) {
      return Math.ceilDiv(frames, framesPerRow);
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
   * @param contextLength longest sequence, the encoders' rows included
   * @param tiedEmbeddings whether the word vectors are also the weights that score words
   * @param recompute whether blocks are computed again in the backward instead of kept
   */
  public record Language(
      int layers,
      int hiddenSize,
      int heads,
      int contextLength,
      boolean tiedEmbeddings,
      boolean recompute) {

    /** A model with weights of their own for scoring words, that keeps what its blocks computed. */
    public Language(int layers, int hiddenSize, int heads, int contextLength) {
      this(layers, hiddenSize, heads, contextLength, false, false);
    }

    /** Features of one head. */
    public int headSize() {
      return hiddenSize / heads;
    }
  }
}
