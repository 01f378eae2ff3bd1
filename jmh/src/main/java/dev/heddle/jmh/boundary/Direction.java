package dev.heddle.jmh.boundary;

import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.TransferPlan;

/** The two directions of a boundary. */
public enum Direction {
  /** Rows to where they are needed. */
  FORWARD,
  /** Their gradients back. */
  BACKWARD;

  /** How tables call it. */
  public String label() {
    return this == FORWARD ? "forward" : "backward";
  }

  /** This direction of a plan that has both. */
  public TransferPlan of(BoundaryPlan plan) {
    return this == FORWARD ? plan.forward() : plan.backward().orElseThrow();
  }
}
