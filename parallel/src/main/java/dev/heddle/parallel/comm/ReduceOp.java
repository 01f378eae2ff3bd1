package dev.heddle.parallel.comm;

/**
 * How the values of several ranks become one. Values are combined in the order of the ranks in the
 * group, so the same group gives the same bits on every rank and in every run. BF16 is combined in
 * F32 and rounded once, at the end.
 */
public enum ReduceOp {
  /** The sum. */
  SUM,
  /** The largest value; NaN where any value is NaN. */
  MAX,
  /** The smallest value; NaN where any value is NaN. */
  MIN
}
