package dev.heddle.jmh;

import java.util.ArrayList;
import java.util.List;

/**
 * A model whose training step is compared: a pre-norm transformer with erf GELU and learned
 * positions, as a causal language model (token embedding, untied head, a loss a token) or as an
 * image classifier (patch projection, mean over tokens, a loss an image). Its weights and its batch
 * are drawn from fixed seeds, so that both sides of a comparison compute the same numbers.
 *
 * @param name what it is called on the command line and in the table
 * @param causal a language model; else an image classifier
 * @param layers transformer blocks
 * @param hiddenSize size of a token's vector
 * @param headCount attention heads
 * @param sequenceLength tokens of a sample
 * @param batchSize samples a step
 * @param classes size of the vocabulary, or number of image classes
 */
public record StepModel(
    String name,
    boolean causal,
    int layers,
    int hiddenSize,
    int headCount,
    int sequenceLength,
    int batchSize,
    int classes)
    implements BenchmarkModel {
  /** Values of a patch: 16 x 16 pixels of 3 channels. */
  public static final int PATCH_SIZE = 768;

  /** AdamW's step size. */
  public static final double LEARNING_RATE = 3e-4;

  /** AdamW's decoupled decay, on all parameters. */
  public static final double WEIGHT_DECAY = 0.01;

  /** What is added to a variance. The peer takes it as a float. */
  public static final float NORM_EPSILON = 1e-5f;

  /** A small GPT. */
  public static final StepModel GPT = new StepModel("gpt", true, 4, 384, 6, 256, 8, 512);

  /** A small vision transformer. */
  public static final StepModel VIT = new StepModel("vit", false, 4, 384, 6, 196, 8, 10);

  /** A GPT that is quick to try. */
  public static final StepModel TINY = new StepModel("tiny", true, 2, 64, 2, 32, 4, 64);

  /** A tensor that is trained: its name, sizes, and deviation (0: zeros, negative: ones). */
  public record Weight(String name, double deviation, long... dims) {
    /** Number of elements. */
    public int size() {
      long size = 1;
      for (long dim : dims) {
        size *= dim;
      }
      return Math.toIntExact(size);
    }
  }

  @Override
  public StepModel withBatchSize(int samples) {
    return new StepModel(
        name, causal, layers, hiddenSize, headCount, sequenceLength, samples, classes);
  }

  @Override
  public List<Weight> weights() {
    long d = hiddenSize;
    List<Weight> weights = new ArrayList<>();
    if (causal) {
      weights.add(new Weight("token.weight", 0.02, classes, d));
    } else {
      weights.add(new Weight("patch.weight", 0.02, d, PATCH_SIZE));
      weights.add(new Weight("patch.bias", 0, d));
    }
    weights.add(new Weight("position.weight", 0.02, sequenceLength, d));
    for (int i = 0; i < layers; i++) {
      addBlock(weights, "block" + i + ".", d);
    }
    weights.add(new Weight("norm.weight", -1, d));
    weights.add(new Weight("norm.bias", 0, d));
    weights.add(new Weight("head.weight", 0.02, classes, d));
    return weights;
  }

  /** Adds the weights of a transformer block of size {@code d}. */
  static void addBlock(List<Weight> weights, String block, long d) {
    weights.add(new Weight(block + "norm1.weight", -1, d));
    weights.add(new Weight(block + "norm1.bias", 0, d));
    // Rows: all queries, then all keys, then all values.
    weights.add(new Weight(block + "qkv.weight", 0.02, 3 * d, d));
    weights.add(new Weight(block + "qkv.bias", 0, 3 * d));
    weights.add(new Weight(block + "output.weight", 0.02, d, d));
    weights.add(new Weight(block + "output.bias", 0, d));
    weights.add(new Weight(block + "norm2.weight", -1, d));
    weights.add(new Weight(block + "norm2.bias", 0, d));
    weights.add(new Weight(block + "up.weight", 0.02, 4 * d, d));
    weights.add(new Weight(block + "up.bias", 0, 4 * d));
    weights.add(new Weight(block + "down.weight", 0.02, d, 4 * d));
    weights.add(new Weight(block + "down.bias", 0, d));
  }

  /** Token ids [batchSize, sequenceLength] of a language model. */
  public long[] tokens() {
    return BenchmarkModel.whole(1, batchSize * sequenceLength, classes);
  }

  /** Patches [batchSize, sequenceLength, {@link #PATCH_SIZE}] of an image classifier. */
  public float[] patches() {
    return BenchmarkModel.normal(1, batchSize * sequenceLength * PATCH_SIZE);
  }

  /** The class of each token, or of each image. */
  @Override
  public long[] targets() {
    return BenchmarkModel.whole(2, causal ? batchSize * sequenceLength : batchSize, classes);
  }
}
