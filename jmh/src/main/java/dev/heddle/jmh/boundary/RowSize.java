package dev.heddle.jmh.boundary;

/**
 * How many numbers cross a boundary.
 *
 * @param samples samples, which data-parallel axes divide
 * @param rows rows of each sample, as many as a picture gives
 * @param features features of each row, F32
 */
public record RowSize(int samples, int rows, int features) {
  /** 2 MiB: small pictures, a small batch. */
  public static final RowSize USUAL = new RowSize(32, 64, 256);

  /** 7 samples, which no axis divides evenly; rows and features that are no multiple of a line. */
  public static final RowSize ODD = new RowSize(7, 63, 257);

  /** One sample's row on each rank: what a meeting costs. */
  public static final RowSize SMALL = new RowSize(4, 1, 64);

  /** 18 MiB, more than caches near a core hold. */
  public static final RowSize LARGE = new RowSize(32, 196, 768);

  /** Checks that there is something to move. */
  public RowSize {
    if (samples < 1 || rows < 1 || features < 1) {
      throw new IllegalArgumentException(
          "RowSize: got " + samples + "x" + rows + "x" + features + ", wanted positive numbers");
    }
  }

  /** The size that {@link #label} writes as {@code text}, such as {@code 32x64x256}. */
  public static RowSize of(String text) {
    String[] parts = text.split("x", -1);
    if (parts.length != 3) {
      throw new IllegalArgumentException(
          "RowSize: got " + text + ", wanted SAMPLESxROWSxFEATURES such as 32x64x256");
    }
    return new RowSize(
        Integer.parseInt(parts[0]), Integer.parseInt(parts[1]), Integer.parseInt(parts[2]));
  }

  /** For example {@code 32x64x256}. */
  public String label() {
    return samples + "x" + rows + "x" + features;
  }

  /** The bytes of all rows. */
  public long bytes() {
    return (long) samples * rows * features * Float.BYTES;
  }
}
