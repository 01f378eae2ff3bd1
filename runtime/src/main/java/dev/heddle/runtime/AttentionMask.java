package dev.heddle.runtime;

/**
 * Which keys a query may see. With {@code causal}, query {@code i} sees key {@code j} if {@code
 * keyStart + j <= queryStart + i}: the starts place pieces of a longer sequence against each other,
 * as context parallelism and decoding need. Without it every query sees every key.
 *
 * @param causal whether later keys are hidden
 * @param queryStart position of the first query
 * @param keyStart position of the first key
 */
public record AttentionMask(boolean causal, long queryStart, long keyStart) {
  /** Every query sees every key. */
  public static final AttentionMask FULL = new AttentionMask(false, 0, 0);

  /** Queries and keys are the same sequence; a query sees itself and what came before. */
  public static final AttentionMask CAUSAL = new AttentionMask(true, 0, 0);

  /** How many of {@code keyCount} keys query {@code query} sees: always the first ones. */
  public long visibleKeys(long query, long keyCount) {
    return causal ? Math.max(0, Math.min(keyCount, queryStart + query - keyStart + 1)) : keyCount;
  }
}
