package dev.heddle.nn;

import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.RandomKey;
import org.jspecify.annotations.Nullable;

/**
 * What the blocks of a stack are told about one pass, besides their input.
 *
 * @param mask who attends to whom
 * @param rotary the angles of the positions, or null for no rotary embedding
 * @param dropout what masks are drawn from, or null for no dropout (evaluation)
 */
public record BlockContext(
    AttentionMask mask, @Nullable RotaryTable rotary, @Nullable DropoutDraw dropout) {
  /**
   * Where dropout masks come from.
   *
   * @param key the stream of this step and microbatch; each place in the model derives its own
   * @param index where the rows [B,S,C] of this pass stand in the global batch
   */
  public record DropoutDraw(RandomKey key, GlobalIndex index) {}

  /** Each position sees itself and those before it. */
  public static BlockContext causal() {
    return new BlockContext(AttentionMask.CAUSAL, null, null);
  }

  /** Each position sees all. */
  public static BlockContext full() {
    return new BlockContext(AttentionMask.FULL, null, null);
  }

  /** The same with rotary embedding. */
  public BlockContext withRotary(RotaryTable table) {
    return new BlockContext(mask, table, dropout);
  }

  /** The same with dropout, where the model has any. */
  public BlockContext withDropout(RandomKey key, GlobalIndex index) {
    return new BlockContext(mask, rotary, new DropoutDraw(key, index));
  }
}
