package dev.heddle.nn;

import static dev.heddle.ops.Attention.packedDocuments;
import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/**
 * What a model is built from: it makes parameters, and it says where a value enters and leaves the
 * region that ranks compute in parts. Model code written against it knows no parallelism: {@link
 * LocalLayers} holds everything whole, {@code parallel.tensor.TensorParallelLayers} gives each rank
 * its part of the heads, of the hidden features and of the vocabulary.
 *
 * <p>A split is counted in units: the heads of an attention, the rows of a vocabulary. Units need
 * not divide evenly.
 *
 * <p>Ranks may also divide the positions of the sequences. Between layers a rank holds {@link
 * #heldPositions}, inside a layer it works on {@link #enteredPositions}; a model makes positions,
 * word ids and rotary angles for these and never asks who has the others. What a microbatch's
 * sequences are is told by a {@link SequenceSpec} that is handed along, never kept: a block that is
 * computed again in the backward must be told of its own microbatch.
 */
public interface Layers {
  /** The dim split of a parameter that every rank holds whole. */
  int WHOLE = Parameter.WHOLE;

  /** Where parameters live. */
  Device device();

  /** The dtype of parameters and activations. */
  DType dtype();

  /** The first of {@code units} units that this rank has. */
  long unitStart(long units);

  /** How many of {@code units} units this rank has. */
  long unitCount(long units);

  /** Whether ranks hold parts, so that {@link #leave} adds up what several ranks computed. */
  boolean isSplit();

  /**
   * Whether between layers the ranks of a layer divide the positions that they all work on inside
   * it (sequence parallelism). Where they do not, {@link #heldPositions} are {@link
   * #enteredPositions}, and {@link #enter} and {@link #leave} take any rows, with no sequence.
   */
  default boolean isSequenceParallel() {
    return false;
  }

  /**
   * A new parameter.
   *
   * @param splitDim the dim that ranks divide, or {@link #WHOLE}
   * @param units how many units the dim consists of; its size is a multiple
   */
  Parameter parameter(
      String name, Shape globalShape, int splitDim, long units, Initializer initializer);

  /** A new parameter that every rank holds whole. */
  default Parameter parameter(String name, Shape shape, Initializer initializer) {
    return parameter(name, shape, WHOLE, 1, initializer);
  }

  /**
   * The positions of a lane that this rank holds between layers, in the order of its buffer; there
   * may be none.
   */
  default long[] heldPositions(SequenceSpec sequence) {
    return sequence.positions();
  }

  /**
   * The positions of a lane that this rank works on inside a layer, after {@link #enter}, in the
   * order of its buffer: those of {@link #heldPositions} and, with sequence parallelism, those that
   * the other ranks of the layer hold.
   */
  default long[] enteredPositions(SequenceSpec sequence) {
    return sequence.positions();
  }

  /**
   * {@code x} about to be used by each rank for its part: the held positions [B,S_held,C] in, the
   * entered positions [B,S_entered,C] out.
   *
   * @param sequence the sequences before division; null only where no rank divides them
   */
  Tensor enter(Tensor x, @Nullable SequenceSpec sequence);

  /**
   * The sum over the ranks of what each computed from its part: the entered positions in, the held
   * ones out.
   */
  Tensor leave(Tensor partial, @Nullable SequenceSpec sequence);

  /**
   * Some rows of {@code x} [B,S_held,C], about to be used by each rank for its part: [n,C]. To be
   * used where only some positions go on, as before a vocabulary's scores.
   *
   * @param rows [n] I64, numbering the rows of the entered positions, [B S_entered,C]
   */
  default Tensor enterRows(Tensor x, NDArray rows, @Nullable SequenceSpec sequence) {
    Tensor entered = enter(x, sequence);
    return gatherRows(reshape(entered, entered.dim(0) * entered.dim(1), entered.dim(2)), rows);
  }

  /**
   * Self-attention of the sequences, whoever holds their other positions. Heads of a query see keys
   * of their own document only.
   *
   * @param qkv [B,S_entered,H + 2 Hk,D]: heads of q, then of k, then of v. It is handed over: it
   *     may be overwritten
   * @param headCount H, a multiple of Hk
   * @param mask {@link AttentionMask#FULL} or {@link AttentionMask#CAUSAL}
   * @param sequence the sequences before division; null for lanes of one document that no rank
   *     divides
   * @param rotary the angles of the entered positions, or null not to rotate
   * @return [B,S_entered,H,D]
   */
  default Tensor attention(
      Tensor qkv,
      long headCount,
      AttentionMask mask,
      double scale,
      @Nullable SequenceSpec sequence,
      @Nullable RotaryTable rotary) {
    long[] starts = sequence == null ? new long[] {0} : sequence.documentStarts();
    return packedDocuments(qkv, headCount, mask, scale, rotary, starts);
  }

  /**
   * Rows of a table whose rows are split: ids [n] I64 of the whole vocabulary (negative: a zero
   * row), table this rank's rows of it; result complete on all ranks.
   *
   * @param ids with a sequence, those of the {@linkplain #enteredPositions entered positions} of
   *     each lane, [B S_entered]
   * @param sequence the sequences before division; null only where no rank divides them
   * @return [n, columns]; with a sequence the held positions, [B S_held, columns]
   */
  Tensor embedding(NDArray ids, Tensor table, long vocabularySize, @Nullable SequenceSpec sequence);

  /**
   * The sum over rows of -log softmax(logits)[target], negative targets ignored. Logits [R, C] are
   * this rank's columns of the vocabulary; the result is complete on all ranks.
   */
  Tensor crossEntropySum(Tensor logits, NDArray targets, long vocabularySize);

  /**
   * For each row the largest logit's column in the whole vocabulary, [R] I64. Logits as in {@link
   * #crossEntropySum}.
   */
  NDArray argmax(NDArray logits, long vocabularySize);
}
