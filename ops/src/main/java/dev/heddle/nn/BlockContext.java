package dev.heddle.nn;

import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.RandomKey;
import org.jspecify.annotations.Nullable;

/**
 * What the blocks of a model are told about one pass, besides their input.
 *
 * @param rotary the angles of the positions, or null for no rotary embedding
 * @param dropout how results are dropped, or null for none (evaluation)
 */
public record BlockContext(@Nullable RotaryTable rotary, @Nullable DropoutDraw dropout) {
  /** Neither. */
  public static final BlockContext NONE = new BlockContext(null, null);

  /**
   * How the results of attention and MLP are dropped before they join the residual stream.
   *
   * @param probability with which an element is zeroed
   * @param key the stream of this step and microbatch; each place in a model derives its own
   * @param index where the elements [B,S,C] of this pass stand in the global batch
   */
  public record DropoutDraw(double probability, RandomKey key, GlobalIndex index) {}

  /** The same with rotary embedding. */
  public BlockContext withRotary(RotaryTable table) {
    return new BlockContext(table, dropout);
  }

  /** The same with dropout. */
  public BlockContext withDropout(double probability, RandomKey key, GlobalIndex index) {
    return new BlockContext(rotary, new DropoutDraw(probability, key, index));
  }
}
