package dev.heddle.parallel.layout;

/** Which items of a dimension go to one part of a split. */
public enum Arrangement {
  /** Part i of k gets the i-th of k consecutive runs. */
  CONTIGUOUS,
  /**
   * Part i of k gets the i-th and the i-th last of 2k consecutive runs. Under causal attention late
   * positions cost more than early ones; pairing them gives every part the same work.
   */
  ZIGZAG
}
