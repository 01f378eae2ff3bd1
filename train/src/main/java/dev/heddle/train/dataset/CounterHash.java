package dev.heddle.train.dataset;

/**
 * Random numbers that are a function of what they are for: (seed, purpose, epoch, example, draw),
 * never of the rank or the order of asking. So every layout sees the same data.
 *
 * <p>Each part goes through the finalizer of SplitMix64 (Steele, Lea, Flood, 2014), which passes
 * the usual statistical tests when it is fed a counter.
 */
final class CounterHash {
  /** What a number is for; each purpose has its own stream. */
  enum Purpose {
    ORDER,
    AUGMENTATION,
    TEXT_ONLY,
    SOUND
  }

  private CounterHash() {}

  /** 64 random bits. */
  static long bits(long seed, Purpose purpose, long epoch, long example, long draw) {
    long hash = mix(seed + GOLDEN);
    hash = mix(hash ^ (purpose.ordinal() + 1) * GOLDEN);
    hash = mix(hash + (epoch + 1) * GOLDEN);
    hash = mix(hash + (example + 1) * GOLDEN);
    return mix(hash + (draw + 1) * GOLDEN);
  }

  /** A number from {@code low} (included) to {@code high} (not included). */
  static float uniform(long bits, float low, float high) {
    return low + (high - low) * ((bits >>> 40) * 0x1p-24f);
  }

  /** A whole number from 0 to {@code bound - 1}; the bias is below 2^-32 for an int bound. */
  static int below(long bits, int bound) {
    return (int) Math.unsignedMultiplyHigh(bits, bound);
  }

  private static final long GOLDEN = 0x9E3779B97F4A7C15L;

  private static long mix(long value) {
    long z = value;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
