package dev.heddle.parallel.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Words divided over ranks give what one rank computes with all of them. Legend: R rows, V words.
 */
class VocabularyParallelTest {
  private static final double TOLERANCE = 1e-12;

  /** What a rank computes, with its part of the words and with all of them. */
  @FunctionalInterface
  private interface Comparison {
    void compare(CpuDevice device, Layers local, Layers parallel, Interval words);
  }

  private static void onRanks(int ranks, int vocabulary, DType dtype, Comparison comparison) {
    LocalWorld.run(ranks, world -> compare(world, vocabulary, dtype, comparison));
  }

  private static void compare(
      Communicator world, int vocabulary, DType dtype, Comparison comparison) {
    try (CpuDevice device = CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      comparison.compare(
          device,
          new LocalLayers(device, dtype, 3),
          new TensorParallelLayers(device, dtype, 3, world),
          Split.part(vocabulary, world.size(), world.rank()));
    }
  }

  /** Ranks 1 to 4 with sizes that do not divide, rows 0, 1 and more. */
  static Stream<Arguments> sizes() {
    return Stream.of(1, 2, 3, 4)
        .flatMap(
            ranks ->
                Stream.of(
                    Arguments.of(ranks, 4, 1),
                    Arguments.of(ranks, 7, 5),
                    Arguments.of(ranks, 23, 9),
                    Arguments.of(ranks, 13, 0)));
  }

  private static double[] random(int count, long seed, double scale) {
    Random random = new Random(seed);
    double[] values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = scale * random.nextGaussian();
    }
    return values;
  }

  /** Words with about every third one ignored. */
  private static long[] words(int count, int vocabulary, long seed) {
    Random random = new Random(seed);
    long[] words = new long[count];
    for (int i = 0; i < count; i++) {
      words[i] = random.nextInt(3) == 0 ? -1 - random.nextInt(2) : random.nextInt(vocabulary);
    }
    return words;
  }

  private static NDArray array(CpuDevice device, Shape shape, double[] values) {
    return NDArray.of(device, DType.F64, shape, values);
  }

  private static double[] columns(double[] matrix, int width, Interval columns) {
    int rows = matrix.length / width;
    double[] part = new double[rows * (int) columns.size()];
    for (int row = 0; row < rows; row++) {
      System.arraycopy(
          matrix,
          row * width + (int) columns.start(),
          part,
          row * (int) columns.size(),
          (int) columns.size());
    }
    return part;
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void embedding_ofDividedWords_hasTheValuesAndGradientsOfTheWhole(
      int ranks, int vocabulary, int rows) {
    int size = 3;
    double[] table = random(vocabulary * size, 1, 1);
    double[] dy = random(rows * size, 2, 1);
    onRanks(
        ranks,
        vocabulary,
        DType.F64,
        (device, local, parallel, mine) -> {
          NDArray ids = NDArray.of(device, Shape.of(rows), words(rows, vocabulary, 4));
          Tensor whole = Tensor.leaf(array(device, Shape.of(vocabulary, size), table));
          Tensor part = Tensor.leaf(whole.value().slice(0, mine.start(), mine.end()).copy());

          Tensor expected = local.embedding(ids, whole, vocabulary, null);
          Tensor actual = parallel.embedding(ids, part, vocabulary, null);
          // One rank has the row, the others zeros: the sum is exact.
          assertThat(actual.value().toDoubles()).containsExactly(expected.value().toDoubles());

          expected.backward(array(device, Shape.of(rows, size), dy));
          actual.backward(array(device, Shape.of(rows, size), dy));
          assertThat(part.gradientOrZeros().toDoubles())
              .containsExactly(
                  Arrays.copyOfRange(
                      whole.gradientOrZeros().toDoubles(),
                      (int) mine.start() * size,
                      (int) mine.end() * size));
        });
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void crossEntropy_ofDividedWords_hasTheValuesAndGradientsOfTheWhole(
      int ranks, int vocabulary, int rows) {
    // Large logits, so that a log-sum-exp that does not subtract the maximum of all would overflow.
    double[] logits = random(rows * vocabulary, 5, 300);
    onRanks(
        ranks,
        vocabulary,
        DType.F64,
        (device, local, parallel, mine) -> {
          NDArray targets = NDArray.of(device, Shape.of(rows), words(rows, vocabulary, 6));
          Tensor whole = Tensor.leaf(array(device, Shape.of(rows, vocabulary), logits));
          Tensor part =
              Tensor.leaf(
                  array(device, Shape.of(rows, mine.size()), columns(logits, vocabulary, mine)));

          Tensor expected = local.crossEntropySum(whole, targets, vocabulary);
          Tensor actual = parallel.crossEntropySum(part, targets, vocabulary);
          assertThat(actual.shape()).isEqualTo(expected.shape());
          assertThat(actual.dtype()).isEqualTo(expected.dtype());
          assertThat(actual.item())
              .isCloseTo(expected.item(), within(TOLERANCE * 1e3 * (1 + rows)));

          NDArray dy = array(device, Shape.of(), new double[] {0.37});
          expected.backward(dy);
          actual.backward(dy);
          assertThat(part.gradientOrZeros().toDoubles())
              .containsExactly(
                  columns(whole.gradientOrZeros().toDoubles(), vocabulary, mine),
                  within(TOLERANCE));
        });
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void argmax_ofDividedWords_isThatOfTheWhole_lowestWordOfEquals(
      int ranks, int vocabulary, int rows) {
    double[] logits = random(rows * vocabulary, 8, 1);
    for (int i = 0; i < logits.length; i++) {
      // Halves: most rows have their maximum several times, on several ranks.
      logits[i] = Math.rint(logits[i] * 2) / 2;
    }
    onRanks(
        ranks,
        vocabulary,
        DType.F64,
        (device, local, parallel, mine) -> {
          NDArray whole = array(device, Shape.of(rows, vocabulary), logits);
          NDArray part =
              array(device, Shape.of(rows, mine.size()), columns(logits, vocabulary, mine));
          assertThat(parallel.argmax(part, vocabulary).toLongs())
              .containsExactly(local.argmax(whole, vocabulary).toLongs());
        });
  }

  @Test
  void argmax_ofARowWithNaN_isAWordAndNotGarbage() {
    onRanks(
        2,
        4,
        DType.F64,
        (device, local, parallel, mine) -> {
          double[] logits = {1, 2, Double.NaN, 0, Double.NaN, 1, 2, Double.NaN};
          NDArray part = array(device, Shape.of(2, 2), columns(logits, 4, mine));
          for (long word : parallel.argmax(part, 4).toLongs()) {
            assertThat(word).isBetween(0L, 3L);
          }
        });
  }

  @Test
  void crossEntropy_ofBf16Logits_isFormedInSinglePrecision_likeThatOfTheWhole() {
    int rows = 6;
    int vocabulary = 11;
    double[] logits = random(rows * vocabulary, 9, 2);
    onRanks(
        3,
        vocabulary,
        DType.BF16,
        (device, local, parallel, mine) -> {
          NDArray targets = NDArray.of(device, Shape.of(rows), words(rows, vocabulary, 6));
          Tensor whole =
              Tensor.leaf(array(device, Shape.of(rows, vocabulary), logits).cast(DType.BF16));
          Tensor part =
              Tensor.leaf(whole.value().slice(1, mine.start(), mine.end()).contiguous().copy());
          Tensor expected = local.crossEntropySum(whole, targets, vocabulary);
          Tensor actual = parallel.crossEntropySum(part, targets, vocabulary);
          assertThat(actual.dtype()).isEqualTo(DType.F32).isEqualTo(expected.dtype());
          assertThat(actual.item()).isCloseTo(expected.item(), within(1e-5 * expected.item()));
          expected.backward();
          actual.backward();
          assertThat(part.gradientOrZeros().toDoubles())
              .containsExactly(
                  columns(whole.gradientOrZeros().toDoubles(), vocabulary, mine), within(0.004));
        });
  }

  @ParameterizedTest
  @CsvSource({"embedding, 9, id 9", "crossEntropy, 9, target 9", "crossEntropy, 1000, target 1000"})
  void wordThatNoRankHas_isRefused_asTheWholeRefusesIt(String which, long word, String named) {
    int vocabulary = 9;
    assertThatThrownBy(
            () ->
                onRanks(
                    2,
                    vocabulary,
                    DType.F64,
                    (device, local, parallel, mine) -> {
                      NDArray words = NDArray.of(device, Shape.of(2), new long[] {1, word});
                      long part = mine.size();
                      if (which.equals("embedding")) {
                        Tensor table =
                            Tensor.leaf(NDArray.zeros(device, DType.F64, Shape.of(part, 2)));
                        parallel.embedding(words, table, vocabulary, null);
                      } else {
                        Tensor logits =
                            Tensor.leaf(NDArray.zeros(device, DType.F64, Shape.of(2, part)));
                        parallel.crossEntropySum(logits, words, vocabulary);
                      }
                    }))
        .isInstanceOf(RankFailedException.class)
        .hasCauseInstanceOf(IndexOutOfBoundsException.class)
        .hasMessageContaining(named)
        .hasMessageContaining("less than 9");
  }
}
