package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Attention;
import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * All that a layer must be told about where it runs. Layers are written once, for "the heads (hidden
 * units, vocabulary entries) that are here": this interface says which those are, and marks the two
 * places where a tensor crosses between the part of a layer that every rank computes and the part
 * that is split. {@link LocalLayers} is one rank: everything is here and the crossings do nothing.
 *
 * <p>A split section of a layer looks like this, whatever the ranks:
 *
 * <pre>{@code
 * Tensor inside = layers.enterParallel(x);          // a layer with its output features split
 * Tensor part = f(inside);                          // on this rank's features
 * Tensor y = layers.leaveParallel(rowProduct);      // a layer with its input features split
 * }</pre>
 */
public interface Layers {
  /** Where parameters live. */
  Device device();

  /** The type of parameters and activations. */
  DType dtype();

  /** The run's seed, for initial values. */
  long seed();

  /** Over how many ranks layers are split; 1 if they are not. */
  int parallelDegree();

  /** Which of {@code count} equal things this rank holds. Parts may differ in size by one. */
  Part part(long count);

  /**
   * Where a value that is the same on every rank begins to be used by each for its own part. The
   * forward changes nothing; the backward sums the ranks' gradients. (With sequence parallelism:
   * gathers the sequence; the backward sums and scatters it.)
   */
  Tensor enterParallel(Tensor x);

  /**
   * Where the ranks' partial results become one: their sum; the backward hands the gradient to
   * each. (With sequence parallelism: the sum's piece of the sequence; the backward gathers.)
   */
  Tensor leaveParallel(Tensor x);

  /**
   * The sum of the losses of the rows whose target is not negative, the same on every rank.
   *
   * @param logits [R,C], C the vocabulary entries that are here
   * @param targets [R] of I64, numbers in the whole vocabulary
   * @param vocabulary which entries are here
   */
  Tensor crossEntropySum(Tensor logits, NDArray targets, Part vocabulary);

  /** Makes a parameter; the one place where all of a model's parameters pass. */
  default Parameter parameter(ParameterSpec spec) {
    return Parameter.create(spec, device(), dtype(), seed());
  }

  /**
   * Attention of the heads that are here over the whole sequence. {@code qkv} is handed over: with
   * rotary embedding it is overwritten.
   *
   * @param qkv [B,S,3H,D]: the heads of q, of k, of v
   */
  default Tensor attention(
      Tensor qkv, long headCount, AttentionMask mask, double scale, @Nullable RotaryTable rotary) {
    return rotary == null
        ? Attention.packed(qkv, headCount, mask, scale)
        : Attention.packedRotary(qkv, headCount, mask, scale, rotary);
  }
}
