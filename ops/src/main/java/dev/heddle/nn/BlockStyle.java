package dev.heddle.nn;

/**
 * What a transformer block is made of.
 *
 * @param norm which norm stands before attention and MLP
 * @param mlp which MLP
 * @param hiddenSize hidden features of the MLP
 */
public record BlockStyle(Norm.Kind norm, Mlp.Kind mlp, long hiddenSize) {
  /** As in GPT-2 and ViT: layer norm, GELU, four times as many hidden features. */
  public static BlockStyle gpt(long size) {
    return new BlockStyle(Norm.Kind.LAYER, Mlp.Kind.GELU, 4 * size);
  }

  /** As in Llama (Touvron et al., 2023): RMS norm and SwiGLU; positions are usually rotary. */
  public static BlockStyle llama(long hiddenSize) {
    return new BlockStyle(Norm.Kind.RMS, Mlp.Kind.SWIGLU, hiddenSize);
  }
}
