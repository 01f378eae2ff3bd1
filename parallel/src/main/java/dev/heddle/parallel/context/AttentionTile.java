package dev.heddle.parallel.context;

import dev.heddle.runtime.AttentionMask;

/**
 * One call of the attention kernel: some queries of a rank's buffer over some keys of a buffer of
 * keys. Every query of a tile sees at least one of its keys, and every key is seen.
 *
 * @param queryStart the place of the first query
 * @param queryEnd the place after the last query
 * @param keyStart the place of the first key
 * @param keyEnd the place after the last key
 * @param mask which of the keys a query sees
 */
public record AttentionTile(
    long queryStart, long queryEnd, long keyStart, long keyEnd, AttentionMask mask) {
  /** How many pairs of a query and a key that it sees there are: the work. */
  public long pairs() {
    long queries = queryEnd - queryStart;
    long keys = keyEnd - keyStart;
    if (!mask.causal()) {
      return queries * keys;
    }
    // The first query sees `first` keys, each further one a key more until it sees all.
    long first = mask.visibleKeys(0, keys);
    long growing = Math.min(queries, keys - first + 1);
    return growing * first + growing * (growing - 1) / 2 + (queries - growing) * keys;
  }
}
