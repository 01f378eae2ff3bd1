package dev.heddle.parallel.redistribute;

/**
 * The buffers of one rank that a plan names. Which ranks have one, and its shape, is in {@link
 * TransferPlan#buffers}.
 */
public enum PlanBuffer {
  /** What the rank holds before; never written. */
  INPUT,
  /** All rows of a source lane, on its leader. */
  GATHERED,
  /** All rows of a destination lane, on each of its ranks. */
  LANE,
  /** What the rank holds afterwards. */
  OUTPUT
}
