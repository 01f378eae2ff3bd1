package dev.heddle.simulated.simt;

import java.util.Arrays;

/**
 * The {@code cp.async} of a warp's threads that have not been waited for. The bytes are copied at
 * once; that they may not be touched before the wait is what {@link SharedMemory} sees to.
 */
final class AsyncCopies {
  private static final int FIELDS = 4;

  private final Warp warp;
  private final int[] committed = new int[Step.LANES];
  // Lane, offset, size and group, one after the other.
  private int[] pending = new int[FIELDS * 64];
  private int count;

  AsyncCopies(Warp warp) {
    this.warp = warp;
  }

  void clear() {
    count = 0;
    Arrays.fill(committed, 0);
  }

  void add(int lane, int offset, int size) {
    if (count + FIELDS > pending.length) {
      pending = Arrays.copyOf(pending, 2 * pending.length);
    }
    pending[count] = lane;
    pending[count + 1] = offset;
    pending[count + 2] = size;
    pending[count + 3] = committed[lane];
    count += FIELDS;
  }

  /** {@code cp.async.commit_group}. */
  void commit(int mask) {
    for (int rest = mask; rest != 0; rest &= rest - 1) {
      committed[Integer.numberOfTrailingZeros(rest)]++;
    }
  }

  /** {@code cp.async.wait_group}: at most {@code groups} of each thread's latest are still open. */
  void await(int mask, int groups) {
    finish(mask, groups, false);
  }

  /** {@code cp.async.wait_all}: uncommitted ones too. */
  void awaitAll(int mask) {
    finish(mask, 0, true);
  }

  private void finish(int mask, int groups, boolean uncommitted) {
    int kept = 0;
    for (int i = 0; i < count; i += FIELDS) {
      int lane = pending[i];
      boolean done =
          ((mask >>> lane) & 1) != 0 && (uncommitted || pending[i + 3] < committed[lane] - groups);
      if (done) {
        warp.shared.endCopy(warp, lane, pending[i + 1], pending[i + 2]);
      } else {
        System.arraycopy(pending, i, pending, kept, FIELDS);
        kept += FIELDS;
      }
    }
    count = kept;
  }
}
