package dev.heddle.parallel.context;

import dev.heddle.runtime.NDArray;

/**
 * The heads of one projection, [B,S,H + 2 Hk,D]: those of q, then of k, then of v. Views, no
 * copies.
 *
 * @param array with contiguous heads
 * @param headCount H
 */
record PackedHeads(NDArray array, long headCount) {
  static PackedHeads of(NDArray array, long headCount) {
    boolean usable = array.dim(-1) == 1 || array.stride(-1) == 1;
    return new PackedHeads(usable ? array : array.contiguous(), headCount);
  }

  NDArray queries() {
    return array.slice(2, 0, headCount);
  }

  /** Keys and values as they travel, [B,S,2 Hk,D]. */
  NDArray keysAndValues() {
    return array.slice(2, headCount, array.dim(2));
  }

  static NDArray keys(NDArray keysAndValues) {
    return keysAndValues.slice(2, 0, keysAndValues.dim(2) / 2);
  }

  static NDArray values(NDArray keysAndValues) {
    return keysAndValues.slice(2, keysAndValues.dim(2) / 2, keysAndValues.dim(2));
  }
}
