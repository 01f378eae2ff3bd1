package dev.heddle.runtime;

/**
 * Names a random stream. A value drawn from it depends on (seed, stream, global element index) and
 * nothing else: not on rank, layout, thread or device. See {@link Random}.
 *
 * @param seed the run's seed
 * @param stream what the values are for; from {@link #of}
 */
public record RandomKey(long seed, long stream) {
  /** The stream called {@code name}, such as {@code vision.block0.attention.qkv.weight}. */
  public static RandomKey of(long seed, String name) {
    // FNV-1a over UTF-16 units, then a finalizer so that similar names are far apart.
    long hash = 0xcbf29ce484222325L;
    for (int i = 0; i < name.length(); i++) {
      hash = (hash ^ name.charAt(i)) * 0x100000001b3L;
    }
    return new RandomKey(seed, mix(hash));
  }

  /** A further stream of this one, such as the dropout of step {@code number}. */
  public RandomKey with(long number) {
    return new RandomKey(seed, mix(stream + 0x9e3779b97f4a7c15L * (number + 1)));
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }
}
