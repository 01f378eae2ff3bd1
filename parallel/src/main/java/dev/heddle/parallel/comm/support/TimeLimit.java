package dev.heddle.parallel.comm.support;

import java.time.Duration;

/**
 * How long an operation may wait for other ranks.
 *
 * @param nanos the time in nanoseconds
 */
public record TimeLimit(long nanos) {
  /** The limit of that duration. */
  public static TimeLimit of(Duration duration) {
    return new TimeLimit(duration.toNanos());
  }

  /** For example {@code 0.5 s}. */
  @Override
  public String toString() {
    long millis = nanos / 1_000_000;
    return millis % 1000 == 0 ? millis / 1000 + " s" : millis / 1000.0 + " s";
  }
}
