package dev.heddle.train.dataset;

/**
 * The discrete Fourier transform of 2^n complex numbers, X[k] = Σ_t x[t] e^(-2πi k t / N), in place
 * (Cooley and Tukey, 1965: radix 2, decimation in time). Tables are made with {@link StrictMath},
 * so a transform has the same bits on each machine. Safe for use by many threads.
 */
final class Fft {
  private final int size;
  private final double[] cos;
  private final double[] sin;

  /** A transform of {@code size} numbers, a power of two. */
  Fft(int size) {
    if (size < 1 || Integer.bitCount(size) != 1) {
      throw new IllegalArgumentException("FFT: got size " + size + ", wanted a power of two");
    }
    this.size = size;
    this.cos = new double[size / 2];
    this.sin = new double[size / 2];
    for (int i = 0; i < size / 2; i++) {
      cos[i] = StrictMath.cos(2 * StrictMath.PI * i / size);
      sin[i] = StrictMath.sin(2 * StrictMath.PI * i / size);
    }
  }

  /** Transforms {@code size} numbers in place. */
  void transform(double[] real, double[] imaginary) {
    reverseBits(real);
    reverseBits(imaginary);
    for (int half = 1; half < size; half *= 2) {
      int turn = size / (2 * half);
      for (int start = 0; start < size; start += 2 * half) {
        for (int i = 0; i < half; i++) {
          int low = start + i;
          int high = low + half;
          double c = cos[i * turn];
          double s = sin[i * turn];
          double re = real[high] * c + imaginary[high] * s;
          double im = imaginary[high] * c - real[high] * s;
          real[high] = real[low] - re;
          imaginary[high] = imaginary[low] - im;
          real[low] += re;
          imaginary[low] += im;
        }
      }
    }
  }

  private void reverseBits(double[] values) {
    for (int i = 1; i < size; i++) {
      int other = Integer.reverse(i) >>> Integer.numberOfLeadingZeros(size) + 1;
      if (other > i) {
        double value = values[i];
        values[i] = values[other];
        values[other] = value;
      }
    }
  }
}
