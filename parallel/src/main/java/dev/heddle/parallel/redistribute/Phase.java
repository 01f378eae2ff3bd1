package dev.heddle.parallel.redistribute;

import java.util.List;

/**
 * Transfers that may all be under way at the same time. A phase begins on a rank when the rank's
 * part of the phase before has ended.
 *
 * <p>At a receiver, all transfers that write are applied before those that accumulate, and the
 * latter in the order of the list. Then floating-point sums have the same bits on every replica and
 * in every run.
 *
 * @param name what the phase does, for tables
 * @param reads the senders' buffer
 * @param writes the receivers' buffer
 * @param transfers sorted by receiver; what two ranks send each other is in the same order for both
 */
public record Phase(String name, PlanBuffer reads, PlanBuffer writes, List<Transfer> transfers) {
  /** Takes a copy of the transfers. */
  public Phase {
    transfers = List.copyOf(transfers);
  }
}
