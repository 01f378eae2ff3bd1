package dev.heddle.train.dataset;

/**
 * Overlapping triangular bands, evenly spaced on the mel scale (Stevens, Volkmann and Newman, 1937;
 * mel = 2595 log10(1 + f / 700)): how the ear groups frequencies. Band b rises from the middle of
 * band b - 1 to its own and falls to that of b + 1.
 */
final class MelBands {
  private static final double LOWEST_HERTZ = 50;

  private final int[] firstBin;
  private final float[][] weights;

  /**
   * Bands over the bins of a spectrum.
   *
   * @param count bands
   * @param sampleRate samples a second; the last band ends at half of it
   * @param size samples that were transformed; bin k is the frequency k sampleRate / size
   * @param warp by how much every frequency of the bands is multiplied: 1, or near it for the voice
   *     of a smaller or larger throat (Jaitly and Hinton, 2013)
   */
  MelBands(int count, int sampleRate, int size, double warp) {
    this.firstBin = new int[count];
    this.weights = new float[count][];
    double low = mel(LOWEST_HERTZ);
    double step = (mel(sampleRate / 2.0) - low) / (count + 1);
    double binsAHertz = (double) size / sampleRate;
    for (int band = 0; band < count; band++) {
      double left = warp * hertz(low + band * step) * binsAHertz;
      double middle = warp * hertz(low + (band + 1) * step) * binsAHertz;
      double right = warp * hertz(low + (band + 2) * step) * binsAHertz;
      // A band that warping pushes beyond the last bin hears nothing.
      int last = Math.min((int) Math.floor(right), size / 2);
      int first = Math.min((int) Math.ceil(left), last);
      firstBin[band] = first;
      weights[band] = new float[last - first + 1];
      for (int bin = first; bin <= last; bin++) {
        double weight =
            bin <= middle ? (bin - left) / (middle - left) : (right - bin) / (right - middle);
        weights[band][bin - first] = (float) Math.max(weight, 0);
      }
    }
  }

  /** The weighted sum of the bins of a band. */
  double sum(int band, double[] power) {
    float[] weight = weights[band];
    int first = firstBin[band];
    double sum = 0;
    for (int i = 0; i < weight.length; i++) {
      sum += weight[i] * power[first + i];
    }
    return sum;
  }

  private static double mel(double hertz) {
    return 2595 * StrictMath.log10(1 + hertz / 700);
  }

  private static double hertz(double mel) {
    return 700 * (StrictMath.pow(10, mel / 2595) - 1);
  }
}
