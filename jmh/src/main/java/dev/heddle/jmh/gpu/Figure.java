package dev.heddle.jmh.gpu;

import java.util.Map;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * What was measured.
 *
 * @param operation what was timed
 * @param seconds the median time of one
 * @param share of what the hardware could do; empty where that is not known
 * @param shareOf what it is a share of; empty text where there is none
 * @param peerSeconds PyTorch's median time; empty where it was not measured
 */
record Figure(
    Operation operation,
    double seconds,
    OptionalDouble share,
    String shareOf,
    OptionalDouble peerSeconds) {

  static Figure of(Operation operation, double seconds) {
    return new Figure(operation, seconds, OptionalDouble.empty(), "", OptionalDouble.empty());
  }

  /** Its value in the operation's unit. */
  double value() {
    return operation.figure(seconds);
  }

  /** With its share of {@code most}, which is in the operation's unit. */
  Figure of(OptionalDouble most, String what) {
    return most.isEmpty()
        ? this
        : new Figure(
            operation, seconds, OptionalDouble.of(value() / most.getAsDouble()), what, peerSeconds);
  }

  Figure beside(double peer) {
    return new Figure(operation, seconds, share, shareOf, OptionalDouble.of(peer));
  }

  /** Our time over PyTorch's: below 1 is faster than PyTorch. */
  OptionalDouble ratio() {
    return peerSeconds.isEmpty()
        ? OptionalDouble.empty()
        : OptionalDouble.of(seconds / peerSeconds.getAsDouble());
  }

  Map<String, @Nullable Object> toMap(boolean simulated) {
    Map<String, @Nullable Object> map = operation.toMap();
    map.put("seconds", seconds);
    map.put("value", value());
    map.put("unit", operation.unit());
    map.put("share", orNull(share));
    map.put("share_of", shareOf.isEmpty() ? null : shareOf);
    map.put("pytorch_seconds", orNull(peerSeconds));
    map.put("ratio", orNull(ratio()));
    map.put("simulated", simulated);
    return map;
  }

  private static @Nullable Object orNull(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }
}
