package dev.heddle.train.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Samples without padding between them, and samples without a picture. */
class PackedSequencesTest {
  private static final int SIZE = 8;
  private static final int VOCABULARY = 19;
  private static final int CONTEXT = 14;

  /** Rows and words of some samples, some without a picture, all of another length. */
  private record Case(int[] rows, int[][] words, int[][] targets, double[] image) {
    static Case random(Random random) {
      int samples = 1 + random.nextInt(5);
      int[] rows = new int[samples];
      int[][] words = new int[samples][];
      int[][] targets = new int[samples][];
      int all = 0;
      for (int i = 0; i < samples; i++) {
        rows[i] = random.nextInt(3) == 0 ? 0 : 1 + random.nextInt(6);
        all += rows[i];
        int length = 1 + random.nextInt(CONTEXT - rows[i] - 1);
        words[i] = random.ints(length, 0, VOCABULARY).toArray();
        targets[i] = random.ints(length, -1, VOCABULARY).toArray();
      }
      return new Case(rows, words, targets, random.doubles((long) all * SIZE, -1, 1).toArray());
    }

    FusedBatch batch(boolean packed) {
      int[] lengths = new int[words.length];
      for (int i = 0; i < lengths.length; i++) {
        lengths[i] = words[i].length;
      }
      return new FusedBatch(Map.of(CaptionModel.VISION, rows), lengths, packed);
    }
  }

  /** The loss and the gradients of the image rows and of every parameter. */
  private static Map<String, double[]> run(CpuDevice device, Case samples, boolean packed) {
    LocalLayers layers = new LocalLayers(device, DType.F64, 4);
    LanguageModel model =
        new LanguageModel(layers, new ModelConfig.Language(3, SIZE, 2, CONTEXT), VOCABULARY);
    Sequences sequences =
        Sequences.whole(
            samples.batch(packed),
            new Interval(0, samples.words.length),
            samples.words,
            samples.targets);
    long count = samples.image.length / SIZE;
    Tensor rows = Tensor.leaf(NDArray.of(device, DType.F64, Shape.of(count, SIZE), samples.image));
    Tensor loss = model.lossSum(sequences, Map.of(CaptionModel.VISION, rows));
    Map<String, double[]> result = new LinkedHashMap<>();
    result.put("loss", loss.value().toDoubles());
    loss.backward();
    result.put("rows", rows.gradientOrZeros().toDoubles());
    for (Parameter parameter : model.parameters()) {
      result.put(parameter.name(), parameter.tensor().gradientOrZeros().toDoubles());
    }
    return result;
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void packedSamples_haveTheLossAndGradientsOfPaddedOnes(long seed) {
    try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      Case samples = Case.random(new Random(seed));
      Map<String, double[]> padded = run(device, samples, false);
      Map<String, double[]> packed = run(device, samples, true);
      padded.forEach(
          (name, values) ->
              assertThat(packed.get(name))
                  .as("%s, seed %d", name, seed)
                  .containsExactly(values, within(1e-12)));
    }
  }

  @Test
  void samplesOfOneMicroBatch_losesWhatTheyLoseAlone() {
    try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      Case samples = Case.random(new Random(2));
      double sum = 0;
      int before = 0;
      for (int i = 0; i < samples.words.length; i++) {
        double[] image = new double[samples.rows[i] * SIZE];
        System.arraycopy(samples.image, before, image, 0, image.length);
        before += image.length;
        Case alone =
            new Case(
                new int[] {samples.rows[i]},
                new int[][] {samples.words[i]},
                new int[][] {samples.targets[i]},
                image);
        sum += run(device, alone, false).get("loss")[0];
      }
      assertThat(samples.words.length).isGreaterThan(1);
      assertThat(run(device, samples, true).get("loss")[0]).isCloseTo(sum, within(1e-12));
    }
  }

  @Test
  void placement_followsTheEncodersInTheirOrder_paddedAndPacked() {
    Map<String, int[]> rows = new LinkedHashMap<>();
    rows.put("vision", new int[] {4, 0, 2});
    rows.put("audio", new int[] {1, 3, 0});
    FusedBatch padded = new FusedBatch(rows, new int[] {2, 1, 5}, false);
    FusedBatch packed = new FusedBatch(rows, new int[] {2, 1, 5}, true);

    RowPlacement audio = padded.placement("audio");
    assertThat(lengths(audio)).containsExactly(7L, 7L, 7L);
    assertThat(audio.positions(0)).isEqualTo(Intervals.of(4, 5));
    assertThat(audio.positions(1)).isEqualTo(Intervals.of(0, 3));
    assertThat(audio.positions(2).isEmpty()).isTrue();
    assertThat(lengths(packed.placement("vision"))).containsExactly(7L, 4L, 7L);
    assertThat(packed.placement("vision")).isNotEqualTo(padded.placement("vision"));
    assertThat(padded.placement("vision"))
        .isEqualTo(new FusedBatch(rows, new int[] {2, 1, 5}, false).placement("vision"))
        .hasSameHashCodeAs(new FusedBatch(rows, new int[] {2, 1, 5}, false).placement("vision"));

    assertThat(padded.sequences(new Interval(1, 3))).isEqualTo(SequenceSpec.of(2, 7));
    assertThat(packed.sequences(new Interval(1, 3))).isEqualTo(SequenceSpec.packed(4, 7));
  }

  private static List<Long> lengths(RowPlacement placement) {
    List<Long> lengths = new ArrayList<>();
    for (int i = 0; i < placement.counts().sampleCount(); i++) {
      lengths.add(placement.length(i));
    }
    return lengths;
  }

  @Test
  void wordsThatAreNotThoseOfThePlan_areRefused() {
    FusedBatch batch = new FusedBatch(Map.of(), new int[] {2}, false);
    assertThatThrownBy(
            () ->
                Sequences.whole(
                    batch, new Interval(0, 1), new int[][] {{1, 2, 3}}, new int[][] {{1, 2, 3}}))
        .hasMessageContaining("sample 0 has 3 words and 3 targets, wanted 2");
  }
}
