package dev.heddle.parallel.redistribute;

import java.util.Optional;

/**
 * Both directions of a boundary as data.
 *
 * @param boundary what is planned
 * @param forward the transfers of the value
 * @param backward the transfers of its gradient; empty when the source component is frozen
 */
public record BoundaryPlan(
    Boundary boundary, TransferPlan forward, Optional<TransferPlan> backward) {
  /** The same for a source that needs no gradient: nothing is sent back. */
  public BoundaryPlan withoutBackward() {
    return new BoundaryPlan(boundary.withoutGradient(), forward, Optional.empty());
  }

  /**
   * Proves both directions.
   *
   * @throws IllegalStateException naming the first element that is violated
   */
  public void verify() {
    forward.verify();
    backward.ifPresent(TransferPlan::verify);
  }

  /**
   * Both directions as aligned tables.
   *
   * @param bytesPerElement the size of one number, for the bytes columns
   * @param maximumTransfers how many transfers to list a direction; totals always count all
   */
  public String table(int bytesPerElement, int maximumTransfers) {
    String back =
        backward
            .map(plan -> plan.table(bytesPerElement, maximumTransfers))
            .orElse("backward: nothing is sent, the source is frozen\n");
    return "source       "
        + boundary.source().layout()
        + "\ndestination  "
        + boundary.destination().layout()
        + "\n\n"
        + forward.table(bytesPerElement, maximumTransfers)
        + "\n"
        + back;
  }
}
