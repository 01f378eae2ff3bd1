package dev.heddle.runtime.cpu;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;

/** The sizes of one attention call and who sees whom. Mutable and described anew for every call. */
abstract class AttentionSizes {
  AttentionMask mask = AttentionMask.FULL;

  long batch;
  int queries;
  int keys;
  long heads;
  long keyHeads;
  int headSize;

  /** Query heads that read the same keys. */
  long group;

  void describe(NDArray q, NDArray k, AttentionMask newMask) {
    mask = newMask;
    batch = q.dim(0);
    queries = Math.toIntExact(q.dim(1));
    heads = q.dim(2);
    headSize = Math.toIntExact(q.dim(3));
    keys = Math.toIntExact(k.dim(1));
    keyHeads = k.dim(2);
    group = keyHeads == 0 ? 0 : heads / keyHeads;
  }

  /** Keys that a query sees: always the first ones. */
  final int visible(long query) {
    return (int) mask.visibleKeys(query, keys);
  }
}
