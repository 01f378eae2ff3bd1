package dev.heddle.parallel.trace;

import java.util.Locale;

/** What a span of time went into. */
public enum TraceCategory {
  /** The rank's thread works. */
  COMPUTE,
  /** The rank's thread waits for other ranks. */
  WAIT,
  /** An operation between ranks is under way, from its post to its completion on this rank. */
  COMMUNICATION;

  /** The word in the file. */
  String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
