package dev.heddle.train.dataset;

import java.util.Arrays;

/**
 * Sound as an encoder hears it: every 10 ms a frame of 25 ms under a Hann window, its power
 * spectrum summed into {@value #BANDS} mel bands, the logarithm of each. Frame f begins at sample
 * {@value #HOP} f; beyond the end there is silence, so n samples have ceil(n / {@value #HOP})
 * frames, and that number is known before any sound is read.
 *
 * <p>Not safe for use by several threads; each has its own.
 */
public final class Spectrogram {
  /** Samples a second. */
  public static final int SAMPLE_RATE = WordRecordings.SAMPLE_RATE;

  /** Samples of a frame: 25 ms. */
  public static final int WINDOW = 200;

  /** Samples from one frame to the next: 10 ms. */
  public static final int HOP = 80;

  /** Values of a frame. */
  public static final int BANDS = 32;

  /** What every band of a silent frame is. */
  public static final float SILENCE;

  // Power below this counts as silence: 60 dB under a tone of full amplitude.
  private static final double FLOOR = 2.5e-3;

  // Mean and deviation over the recordings of the first voice. The data set's test measures them.
  private static final float MEAN = -1.904f;
  private static final float DEVIATION = 2.961f;

  private static final int SIZE = 256;
  private static final Fft FFT = new Fft(SIZE);
  private static final double[] HANN = new double[WINDOW];

  static {
    for (int i = 0; i < WINDOW; i++) {
      // The periodic window: its copies at half its length add up to 1.
      HANN[i] = 0.5 - 0.5 * StrictMath.cos(2 * StrictMath.PI * i / WINDOW);
    }
    SILENCE = normal(0);
  }

  private final double[] real = new double[SIZE];
  private final double[] imaginary = new double[SIZE];
  private final double[] power = new double[SIZE / 2 + 1];
  private final MelBands plain = bands(1);

  /** A front end. */
  public Spectrogram() {}

  /** Frames of {@code samples} samples. */
  public static int frameCount(int samples) {
    return Math.ceilDiv(samples, HOP);
  }

  /** Bands for a voice whose frequencies are {@code warp} times as high. */
  static MelBands bands(double warp) {
    return new MelBands(BANDS, SAMPLE_RATE, SIZE, warp);
  }

  /**
   * Computes the frames of a sound.
   *
   * @param samples the sound, from -1 to 1
   * @param count how many samples
   * @param target receives {@code frameCount(count)} frames of {@value #BANDS} values
   * @param offset the place of the first value
   */
  public void compute(float[] samples, int count, float[] target, int offset) {
    compute(samples, count, plain, target, offset);
  }

  void compute(float[] samples, int count, MelBands bands, float[] target, int offset) {
    for (int frame = 0; frame < frameCount(count); frame++) {
      int start = frame * HOP;
      int end = Math.min(WINDOW, count - start);
      for (int i = 0; i < end; i++) {
        real[i] = samples[start + i] * HANN[i];
      }
      Arrays.fill(real, end, SIZE, 0);
      Arrays.fill(imaginary, 0);
      FFT.transform(real, imaginary);
      for (int bin = 0; bin < power.length; bin++) {
        power[bin] = real[bin] * real[bin] + imaginary[bin] * imaginary[bin];
      }
      for (int band = 0; band < BANDS; band++) {
        target[offset + frame * BANDS + band] = normal(bands.sum(band, power));
      }
    }
  }

  private static float normal(double power) {
    return ((float) StrictMath.log(Math.max(power, FLOOR)) - MEAN) / DEVIATION;
  }
}
