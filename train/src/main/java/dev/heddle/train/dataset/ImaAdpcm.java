package dev.heddle.train.dataset;

/**
 * Decodes IMA ADPCM (IMA Digital Audio Focus, 1992): 4 bits a sample, which say how far the next
 * sample is from the last in units of a step that adapts. No block headers: prediction and step
 * start at 0, the high half of a byte comes first. The same samples as SoX gives for its {@code
 * ima} type.
 */
final class ImaAdpcm {
  private static final int[] STEPS = {
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73,
    80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494,
    544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499,
    2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442,
    11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767
  };
  private static final int[] STEP_CHANGES = {-1, -1, -1, -1, 2, 4, 6, 8};

  private ImaAdpcm() {}

  /** How many bytes code {@code samples} samples. */
  static int byteCount(int samples) {
    return (samples + 1) / 2;
  }

  /**
   * Decodes samples to -1 (included) to 1 (not included).
   *
   * @param coded the bytes, the first one at {@code from}
   * @param samples how many samples
   * @param target receives them, the first one at {@code offset}
   */
  static void decode(byte[] coded, int from, int samples, float[] target, int offset) {
    int value = 0;
    int step = 0;
    for (int i = 0; i < samples; i++) {
      int code = coded[from + i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
      int distance = (2 * (code & 7) + 1) * STEPS[step] >> 3;
      value = (code & 8) == 0 ? value + distance : value - distance;
      value = Math.clamp(value, Short.MIN_VALUE, Short.MAX_VALUE);
      step = Math.clamp(step + STEP_CHANGES[code & 7], 0, STEPS.length - 1);
      target[offset + i] = value * 0x1p-15f;
    }
  }
}
