package dev.heddle.train.dataset;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SpectrogramTest {
  private static float[] tone(double hertz, double amplitude, int count) {
    float[] samples = new float[count];
    for (int i = 0; i < count; i++) {
      samples[i] =
          (float) (amplitude * Math.sin(2 * Math.PI * hertz * i / Spectrogram.SAMPLE_RATE));
    }
    return samples;
  }

  private static float[][] frames(float[] samples, MelBands bands) {
    int count = Spectrogram.frameCount(samples.length);
    float[] values = new float[count * Spectrogram.BANDS];
    new Spectrogram().compute(samples, samples.length, bands, values, 0);
    float[][] frames = new float[count][];
    for (int i = 0; i < count; i++) {
      frames[i] = Arrays.copyOfRange(values, i * Spectrogram.BANDS, (i + 1) * Spectrogram.BANDS);
    }
    return frames;
  }

  private static float[][] frames(float[] samples) {
    return frames(samples, Spectrogram.bands(1));
  }

  private static int loudest(float[] frame) {
    int best = 0;
    for (int band = 1; band < frame.length; band++) {
      best = frame[band] > frame[best] ? band : best;
    }
    return best;
  }

  /** The frequency in the middle of a band, by the definition of the scale. */
  private static double middle(int band) {
    double low = 2595 * Math.log10(1 + 50.0 / 700);
    double high = 2595 * Math.log10(1 + 4000.0 / 700);
    double mel = low + (band + 1) * (high - low) / (Spectrogram.BANDS + 1);
    return 700 * (Math.pow(10, mel / 2595) - 1);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 5, 11, 17, 23, 29, 31})
  void tone_inTheMiddleOfABand_isLoudestThereInEveryWholeFrame(int band) {
    float[][] frames = frames(tone(middle(band), 0.5, 4000));
    for (int i = 0; i < frames.length - 3; i++) {
      assertThat(loudest(frames[i])).as("frame %d", i).isEqualTo(band);
    }
  }

  @Test
  void frame_ofASound_isTheLogarithmOfItsBandsOfADirectTransform() {
    Random random = new Random(3);
    float[] samples = new float[500];
    for (int i = 0; i < samples.length; i++) {
      samples[i] = random.nextFloat(-1, 1);
    }
    MelBands bands = Spectrogram.bands(1);
    int frame = 2;
    double[] power = new double[129];
    for (int k = 0; k <= 128; k++) {
      double re = 0;
      double im = 0;
      for (int t = 0; t < Spectrogram.WINDOW; t++) {
        double hann = Math.pow(Math.sin(Math.PI * t / Spectrogram.WINDOW), 2);
        double value = samples[frame * Spectrogram.HOP + t] * hann;
        re += value * Math.cos(2 * Math.PI * k * t / 256);
        im -= value * Math.sin(2 * Math.PI * k * t / 256);
      }
      power[k] = re * re + im * im;
    }
    float[] found = frames(samples)[frame];
    // Frames are normalised by one factor and one shift: differences of logarithms tell.
    double unit = (found[20] - found[3]) / (Math.log(bands.sum(20, power) / bands.sum(3, power)));
    for (int band = 0; band < Spectrogram.BANDS; band++) {
      double wanted = found[3] + unit * Math.log(bands.sum(band, power) / bands.sum(3, power));
      assertThat((double) found[band]).as("band %d", band).isCloseTo(wanted, within(1e-5));
    }
  }

  @Test
  void louderSound_raisesEveryBandByTheSame() {
    float[][] soft = frames(tone(700, 0.25, 2000));
    float[][] loud = frames(tone(700, 0.5, 2000));
    float[][] louder = frames(tone(700, 1, 2000));
    int band = loudest(soft[0]);
    float step = loud[0][band] - soft[0][band];
    assertThat(step).isPositive();
    assertThat(louder[0][band] - loud[0][band]).isCloseTo(step, within(1e-5f));
  }

  @Test
  void delayByAHop_movesTheFramesByOne() {
    float[] sound = tone(900, 0.7, 1600);
    float[] later = new float[sound.length + Spectrogram.HOP];
    System.arraycopy(sound, 0, later, Spectrogram.HOP, sound.length);
    float[][] frames = frames(sound);
    float[][] delayed = frames(later);
    assertThat(delayed).hasNumberOfRows(frames.length + 1);
    for (int i = 0; i < frames.length; i++) {
      assertThat(delayed[i + 1]).containsExactly(frames[i]);
    }
  }

  @Test
  void silence_isSilenceInEveryBand() {
    for (float[] frame : frames(new float[333])) {
      assertThat(frame).containsOnly(Spectrogram.SILENCE);
    }
    float[] low = tone(middle(2), 0.5, 2000);
    assertThat(frames(low)[3][30]).as("far from the tone").isEqualTo(Spectrogram.SILENCE);
  }

  @Test
  void frameCount_isTheSamplesInHopsRoundedUp() {
    assertThat(List.of(1, 80, 81, 200, 8000).stream().map(Spectrogram::frameCount))
        .containsExactly(1, 1, 2, 3, 100);
  }

  @Test
  void warp_movesTheLoudestBandAsAHigherVoiceWould() {
    float[] low = tone(1000, 0.5, 2000);
    float[] high = tone(1150, 0.5, 2000);
    assertThat(loudest(frames(high, Spectrogram.bands(1.15))[1]))
        .isEqualTo(loudest(frames(low)[1]))
        .isNotEqualTo(loudest(frames(high)[1]));
  }
}
