package dev.heddle.train.config;

import java.util.HashMap;
import java.util.Map;

/** Where each value of a configuration came from and how it was written there. */
final class Provenance {
  private record Given(Origin origin, String shown) {}

  private final Map<String, Given> values = new HashMap<>();

  void put(String key, Origin origin, String shown) {
    values.put(key, new Given(origin, shown));
  }

  private Given given(String key) {
    Given given = values.get(key);
    if (given == null) {
      throw new IllegalStateException("no origin was kept for " + key);
    }
    return given;
  }

  /** See {@link Origin#rank()}. */
  int rank(String key) {
    return given(key).origin().rank();
  }

  /** Whether the value was written on the command line. */
  boolean isOnCommandLine(String key) {
    return given(key).origin() instanceof Origin.OnCommandLine;
  }

  /** The beginning of a refusal of a value. */
  String locate(String key) {
    Given given = given(key);
    return given.origin().locate(key, given.shown());
  }
}
