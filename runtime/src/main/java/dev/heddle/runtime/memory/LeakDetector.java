package dev.heddle.runtime.memory;

import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/**
 * Remembers where memory was allocated, so that what is never given back can be named. Set by the
 * system property {@value #PROPERTY}: {@code off}, {@code sampled} (one allocation in 128; the
 * default) or {@code paranoid} (every one; what the tests run with).
 */
public final class LeakDetector {
  /** The system property that sets the level. */
  public static final String PROPERTY = "heddle.leaks";

  private static final int SAMPLE = 128;

  /** How many allocations are traced. */
  public enum Level {
    OFF,
    SAMPLED,
    PARANOID
  }

  private static volatile Level level = parse(System.getProperty(PROPERTY, "sampled"));

  private LeakDetector() {}

  /** The level in force. */
  public static Level level() {
    return level;
  }

  /** Changes the level for allocations from now on. */
  public static void level(Level newLevel) {
    level = newLevel;
  }

  static @Nullable Throwable trace() {
    return switch (level) {
      case OFF -> null;
      case SAMPLED -> ThreadLocalRandom.current().nextInt(SAMPLE) == 0 ? new Birthplace() : null;
      case PARANOID -> new Birthplace();
    };
  }

  private static Level parse(String text) {
    for (Level candidate : Level.values()) {
      if (candidate.name().equalsIgnoreCase(text)) {
        return candidate;
      }
    }
    throw new IllegalArgumentException(
        "-D" + PROPERTY + "=" + text + " is not known; accepted: off, sampled, paranoid");
  }

  /** The stack of an allocation. */
  static final class Birthplace extends Throwable {
    private static final long serialVersionUID = 1L;

    Birthplace() {
      super("allocated here");
    }
  }
}
