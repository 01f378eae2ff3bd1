package dev.heddle.parallel.redistribute;

import java.util.Locale;

/** How a boundary moves rows; every strategy gives the same result. */
public enum Strategy {
  /**
   * Each destination rank receives exactly what it needs and does not hold, in one exchange, from
   * the best holder: itself, then its host, then the least loaded.
   */
  DIRECT,
  /**
   * Destination ranks of one host that need the same rows receive 1/n each, then gather the rest
   * from one another: each row crosses to a host once.
   */
  SCATTER_GATHER,
  /**
   * Gather to one rank per source data lane, send to one rank per destination lane, broadcast
   * there, take the own part: what Megatron-LM's bridge does. Kept as the baseline to measure
   * against.
   */
  LEADER;

  /** The name used in configurations and tables, for example {@code scatter-gather}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
