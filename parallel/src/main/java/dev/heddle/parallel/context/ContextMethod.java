package dev.heddle.parallel.context;

import java.util.Locale;

/** How ranks that divide a sequence compute its attention together; all give the same result. */
public enum ContextMethod {
  /**
   * Keys and values travel from rank to rank while each computes with those it has (Liu et al.,
   * "Ring Attention with Blockwise Transformers", 2023).
   */
  RING,
  /** Every rank gathers all keys and values first (as in Llama 3, 2024). */
  ALL_GATHER,
  /**
   * Ranks trade their part of the sequence for their part of the heads and back (Jacobs et al.,
   * "DeepSpeed Ulysses", 2023).
   */
  ALL_TO_ALL;

  /** The name used in configurations and tables, for example {@code all-gather}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
