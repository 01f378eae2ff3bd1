package dev.heddle.nn;

import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.RandomKey;
import org.jspecify.annotations.Nullable;

/**
 * What the blocks of a model are told about one pass, besides their input.
 *
 * @param rotary the angles of the {@linkplain Layers#enteredPositions entered positions}, or null
 *     for no rotary embedding
 * @param dropout how results are dropped, or null for none (evaluation)
 * @param sequence the sequences before any division, or null where the input is lanes of one
 *     document that no rank divides
 */
public record BlockContext(
    @Nullable RotaryTable rotary, @Nullable DropoutDraw dropout, @Nullable SequenceSpec sequence) {
  /** Nothing. */
  public static final BlockContext NONE = new BlockContext(null, null, null);

  /**
   * How the results of attention and MLP are dropped before they join the residual stream.
   *
   * @param probability with which an element is zeroed
   * @param key the stream of this step and microbatch; each place in a model derives its own
   * @param index where the elements [B,S,C] of this pass stand in the global batch, before ranks
   *     divide the S positions
   */
  public record DropoutDraw(double probability, RandomKey key, GlobalIndex index) {}

  /** The same with rotary embedding. */
  public BlockContext withRotary(RotaryTable table) {
    return new BlockContext(table, dropout, sequence);
  }

  /** The same with dropout. */
  public BlockContext withDropout(double probability, RandomKey key, GlobalIndex index) {
    return new BlockContext(rotary, new DropoutDraw(probability, key, index), sequence);
  }

  /** The same for these sequences. */
  public BlockContext withSequence(SequenceSpec sequences) {
    return new BlockContext(rotary, dropout, sequences);
  }
}
