package dev.heddle.simulated.simt;

import java.util.HashMap;
import java.util.Map;

/**
 * What orders blocks of a launch: a block hands on what it did when it executes an atomic
 * instruction after a fence, and takes over what others handed on when it executes an atomic
 * instruction.
 */
final class BlockOrder {
  private final Map<Long, Long> handedOnAt = new HashMap<>();
  private final Map<Long, Long> tookOverAt = new HashMap<>();
  private final Map<Long, Boolean> fenced = new HashMap<>();
  private long now = 1;

  long now() {
    return now;
  }

  void fence(long block) {
    fenced.put(block, true);
  }

  void atomic(long block) {
    now++;
    if (fenced.getOrDefault(block, false)) {
      handedOnAt.put(block, now);
    }
    tookOverAt.put(block, now);
  }

  /** Whether what {@code earlier} did at {@code time} comes before what {@code later} does now. */
  boolean handedOn(long earlier, long time, long later) {
    long handed = handedOnAt.getOrDefault(earlier, 0L);
    return handed > time && tookOverAt.getOrDefault(later, 0L) >= handed;
  }
}
