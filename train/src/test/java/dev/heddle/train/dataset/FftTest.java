package dev.heddle.train.dataset;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FftTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4, 8, 64, 256})
  void transform_ofRandomNumbers_isTheDirectSum(int size) {
    Random random = new Random(size);
    double[] real = random.doubles(size, -1, 1).toArray();
    double[] imaginary = random.doubles(size, -1, 1).toArray();
    double[] wantedReal = new double[size];
    double[] wantedImaginary = new double[size];
    for (int k = 0; k < size; k++) {
      for (int t = 0; t < size; t++) {
        double angle = -2 * Math.PI * k * t / size;
        wantedReal[k] += real[t] * Math.cos(angle) - imaginary[t] * Math.sin(angle);
        wantedImaginary[k] += real[t] * Math.sin(angle) + imaginary[t] * Math.cos(angle);
      }
    }
    new Fft(size).transform(real, imaginary);
    for (int k = 0; k < size; k++) {
      assertThat(real[k]).isCloseTo(wantedReal[k], within(1e-11));
      assertThat(imaginary[k]).isCloseTo(wantedImaginary[k], within(1e-11));
    }
  }

  @Test
  void size_thatIsNoPowerOfTwo_isRefused() {
    assertThatThrownBy(() -> new Fft(200))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("FFT: got size 200, wanted a power of two");
  }
}
