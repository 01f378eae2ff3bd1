package dev.heddle.runtime;

/**
 * Counter-based random numbers: Philox 4x32 with ten rounds (Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Element {@code i} of a stream is word
 * {@code i mod 4} of the block with counter {@code i / 4}, so any part of it can be made anywhere.
 */
public final class Random {
  private static final int MULTIPLIER_0 = 0xD2511F53;
  private static final int MULTIPLIER_1 = 0xCD9E8D57;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;
  private static final int ROUNDS = 10;

  private Random() {}

  /**
   * One Philox block: counter words (index low, index high, stream low, stream high), key words
   * (seed low, seed high).
   *
   * @param result receives the four words
   */
  public static void block(RandomKey key, long counter, int[] result) {
    int c0 = (int) counter;
    int c1 = (int) (counter >>> 32);
    int c2 = (int) key.stream();
    int c3 = (int) (key.stream() >>> 32);
    int k0 = (int) key.seed();
    int k1 = (int) (key.seed() >>> 32);
    for (int round = 0; round < ROUNDS; round++) {
      long p0 = (MULTIPLIER_0 & 0xffffffffL) * (c0 & 0xffffffffL);
      long p1 = (MULTIPLIER_1 & 0xffffffffL) * (c2 & 0xffffffffL);
      int n0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      int n2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c1 = (int) p1;
      c3 = (int) p0;
      c0 = n0;
      c2 = n2;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    result[0] = c0;
    result[1] = c1;
    result[2] = c2;
    result[3] = c3;
  }

  /** The 32 random bits of element {@code index}. */
  public static int bits(RandomKey key, long index) {
    int[] words = new int[4];
    block(key, index >>> 2, words);
    return words[(int) (index & 3)];
  }

  /** Uniform in [0, 1) with 24 bits, exact in F32. */
  public static float uniform(int bits) {
    return (bits >>> 8) * 0x1p-24f;
  }

  /** Element {@code index} of the uniform stream. */
  public static float uniform(RandomKey key, long index) {
    return uniform(bits(key, index));
  }

  /**
   * Element {@code index} of the standard normal stream: Box-Muller on the words of its pair, in
   * double precision, so that every backend that follows it agrees to rounding.
   */
  public static double normal(RandomKey key, long index) {
    int[] words = new int[4];
    block(key, index >>> 2, words);
    int pair = (int) (index & 2);
    return normal(words[pair], words[pair + 1], (index & 1) == 0);
  }

  /** The cosine (first) or sine (second) value of the Box-Muller pair made from two words. */
  public static double normal(int bitsOfRadius, int bitsOfAngle, boolean first) {
    double u = ((bitsOfRadius & 0xffffffffL) + 1) * 0x1p-32;
    double angle = 2 * Math.PI * ((bitsOfAngle & 0xffffffffL) * 0x1p-32);
    double radius = Math.sqrt(-2 * Math.log(u));
    return radius * (first ? Math.cos(angle) : Math.sin(angle));
  }
}
