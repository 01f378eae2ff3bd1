package dev.heddle.ops;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;

/**
 * The angles of rotary position embedding: position p rotates pair i of D/2 by p base^(-2i/D).
 *
 * @param cos [S,D/2] in the accumulation type
 * @param sin [S,D/2] in the accumulation type
 */
public record RotaryTable(NDArray cos, NDArray sin) {
  /** The base of the RoFormer paper. */
  public static final double DEFAULT_BASE = 10000;

  /** The table for {@code length} positions from {@code start} on. */
  public static RotaryTable of(
      Device device, DType dtype, long start, long length, long headSize, double base) {
    long[] positions = new long[Math.toIntExact(length)];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = start + i;
    }
    return at(device, dtype, positions, headSize, base);
  }

  /**
   * The table for any positions, such as the pieces of a sequence that a rank holds.
   *
   * @param dtype of the arrays to be rotated
   * @param headSize D, even
   */
  public static RotaryTable at(
      Device device, DType dtype, long[] positions, long headSize, double base) {
    if (headSize <= 0 || headSize % 2 != 0) {
      throw new IllegalArgumentException(
          "RotaryTable: head size " + headSize + "; wanted an even one, as pairs are rotated");
    }
    int half = Math.toIntExact(headSize / 2);
    NDArray cos = NDArray.empty(device, dtype.accumulation(), positions.length, half);
    NDArray sin = NDArray.empty(device, dtype.accumulation(), positions.length, half);
    if (device.hasBytes()) {
      double[] cosines = new double[positions.length * half];
      double[] sines = new double[positions.length * half];
      for (int p = 0; p < positions.length; p++) {
        for (int i = 0; i < half; i++) {
          double angle = positions[p] * Math.pow(base, -2.0 * i / headSize);
          cosines[p * half + i] = Math.cos(angle);
          sines[p * half + i] = Math.sin(angle);
        }
      }
      cos.writeDoubles(cosines);
      sin.writeDoubles(sines);
    }
    return new RotaryTable(cos, sin);
  }

  /** The table of the first {@code length} positions of this one: a view. */
  public RotaryTable first(long length) {
    return new RotaryTable(cos.slice(0, 0, length), sin.slice(0, 0, length));
  }
}
