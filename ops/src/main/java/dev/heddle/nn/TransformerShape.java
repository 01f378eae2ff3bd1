package dev.heddle.nn;

/**
 * The sizes and choices of a stack of transformer blocks.
 *
 * @param layerCount blocks in the stack; also scales the initial residual projections
 * @param hiddenSize features of the residual stream
 * @param headCount attention heads
 * @param mlpSize hidden units of each MLP
 * @param mlp what each MLP has between its layers
 * @param norm which norm
 * @param epsilon the norm's
 * @param dropout probability with which the results of attention and MLP are zeroed in training
 */
public record TransformerShape(
    int layerCount,
    long hiddenSize,
    long headCount,
    long mlpSize,
    Mlp.Kind mlp,
    Norm.Kind norm,
    double epsilon,
    double dropout) {
  /** Standard deviation of initial weights, as in GPT-2 and ViT. */
  public static final double WEIGHT_DEVIATION = 0.02;

  /** As in GPT-2 and ViT: GELU, 4 times as many hidden units, layer norm, no dropout. */
  public static TransformerShape of(int layerCount, long hiddenSize, long headCount) {
    return new TransformerShape(
        layerCount, hiddenSize, headCount, 4 * hiddenSize, Mlp.Kind.GELU, Norm.Kind.LAYER, 1e-5, 0);
  }

  /** The same with another MLP. */
  public TransformerShape withMlp(Mlp.Kind kind, long size) {
    return new TransformerShape(
        layerCount, hiddenSize, headCount, size, kind, norm, epsilon, dropout);
  }

  /** The same with another norm. */
  public TransformerShape withNorm(Norm.Kind kind) {
    return new TransformerShape(
        layerCount, hiddenSize, headCount, mlpSize, mlp, kind, epsilon, dropout);
  }

  /** The same with dropout. */
  public TransformerShape withDropout(double probability) {
    return new TransformerShape(
        layerCount, hiddenSize, headCount, mlpSize, mlp, norm, epsilon, probability);
  }

  /** Features of a head. */
  public long headSize() {
    return hiddenSize / headCount;
  }

  /** Initial values of weights. */
  public Initializer weights() {
    return Initializer.normal(WEIGHT_DEVIATION);
  }

  /**
   * Initial values of projections back to the residual stream, smaller the more of them there are
   * (two a block), so that the stream's variance does not grow with depth (GPT-2).
   */
  public Initializer residualWeights() {
    return Initializer.normal(WEIGHT_DEVIATION / Math.sqrt(2.0 * layerCount));
  }
}
