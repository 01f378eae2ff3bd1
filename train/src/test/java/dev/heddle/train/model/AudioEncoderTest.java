package dev.heddle.train.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AudioEncoderTest {
  private static final int BANDS = 3;
  private static final int FRAMES = 2;
  private static final int LANGUAGE = 5;
  private static final ModelConfig.Audio SIZES = new ModelConfig.Audio(3, 8, 2, FRAMES, false);
  private static final int[] ROWS = {3, 1, 4};

  private static float[] values(int rows, int seed) {
    float[] values = new float[rows * FRAMES * BANDS];
    Random random = new Random(seed);
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextFloat(-2, 2);
    }
    return values;
  }

  private static LocalLayers layers(CpuDevice device) {
    return new LocalLayers(device, DType.F64, 11);
  }

  private static AudioEncoder encoder(CpuDevice device, ModelConfig.Audio sizes, Stages stages) {
    return new AudioEncoder(layers(device), sizes, BANDS, 6, LANGUAGE, stages);
  }

  private static AudioProgram program(CpuDevice device, Stages stages) {
    return new AudioProgram(encoder(device, SIZES, stages), layers(device), FRAMES * BANDS);
  }

  private static CpuDevice device() {
    return CpuDevice.open("audio", 1, CpuBackend.REFERENCE);
  }

  private static double[] rows(CpuDevice device, int[] clips, float[] values) {
    try (MemoryScope scope = MemoryScope.open()) {
      AudioProgram program = program(device, Stages.whole(SIZES.layers()));
      program.stage(new int[][] {clips}, new float[][] {values});
      return Objects.requireNonNull(program.forward(0, Map.of())).value().toDoubles();
    }
  }

  @Test
  void rows_ofClipsOfDifferentLengths_areThoseOfEachClipAlone() {
    try (CpuDevice device = device()) {
      float[] all = values(8, 1);
      double[] together = rows(device, ROWS, all);
      assertThat(together).hasSize(8 * LANGUAGE);
      int row = 0;
      for (int count : ROWS) {
        int from = row * FRAMES * BANDS;
        float[] alone = Arrays.copyOfRange(all, from, from + count * FRAMES * BANDS);
        assertThat(rows(device, new int[] {count}, alone))
            .containsExactly(
                Arrays.copyOfRange(together, row * LANGUAGE, (row + count) * LANGUAGE),
                within(1e-13));
        row += count;
      }
    }
  }

  @Test
  void rows_ofAClip_dependOnAllItsFramesAndTheirOrder() {
    try (CpuDevice device = device()) {
      float[] values = values(4, 2);
      double[] before = rows(device, new int[] {4}, values);
      float[] changed = values.clone();
      changed[changed.length - 1] += 1;
      assertThat(rows(device, new int[] {4}, changed)[0]).isNotEqualTo(before[0]);
      float[] swapped = values.clone();
      System.arraycopy(values, 0, swapped, 2 * FRAMES * BANDS, 2 * FRAMES * BANDS);
      System.arraycopy(values, 2 * FRAMES * BANDS, swapped, 0, 2 * FRAMES * BANDS);
      assertThat(rows(device, new int[] {4}, swapped)[0])
          .isNotCloseTo(before[2 * LANGUAGE], within(1e-9));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void gradient_ofEveryParameter_isTheDifferenceOfLosses(boolean recompute) {
    try (CpuDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      ModelConfig.Audio sizes = new ModelConfig.Audio(2, 8, 2, FRAMES, recompute);
      AudioEncoder encoder = encoder(device, sizes, Stages.whole(2));
      SequenceSpec clips = SequenceSpec.packed(3, 1, 4);
      NDArray frames =
          NDArray.of(device, Shape.of(8, FRAMES * BANDS), values(8, 3)).cast(DType.F64);
      double[] weights = new Random(4).doubles(8 * LANGUAGE, -1, 1).toArray();
      encoder
          .forward(Tensor.constant(frames), clips)
          .backward(NDArray.of(device, DType.F64, Shape.of(8, LANGUAGE), weights));
      Random random = new Random(5);
      for (Parameter parameter : encoder.parameters()) {
        NDArray value = parameter.tensor().value();
        double[] gradient = parameter.tensor().gradientOrZeros().toDoubles();
        double[] original = value.toDoubles();
        for (int probe = 0; probe < 4; probe++) {
          int at = random.nextInt(original.length);
          double step = 1e-5;
          double higher = lossAt(encoder, frames, clips, weights, value, original, at, step);
          double lower = lossAt(encoder, frames, clips, weights, value, original, at, -step);
          assertThat(gradient[at])
              .as("%s [%d]", parameter.name(), at)
              .isCloseTo((higher - lower) / (2 * step), within(1e-8 + 1e-6 * Math.abs(higher)));
        }
      }
      assertThat(encoder.parameters())
          .extracting(Parameter::name)
          .contains("audio.frames.weight", "audio.block1.mlp.up.weight", "audio.projector.up.bias");
    }
  }

  private static double lossAt(
      AudioEncoder encoder,
      NDArray frames,
      SequenceSpec clips,
      double[] weights,
      NDArray parameter,
      double[] original,
      int at,
      double step) {
    try (MemoryScope scope = MemoryScope.open();
        GradientMode off = GradientMode.noGrad()) {
      double[] changed = original.clone();
      changed[at] += step;
      parameter.writeDoubles(changed);
      double[] rows = encoder.forward(Tensor.constant(frames), clips).value().toDoubles();
      parameter.writeDoubles(original);
      double loss = 0;
      for (int i = 0; i < rows.length; i++) {
        loss += weights[i] * rows[i];
      }
      return loss;
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void stages_oneAfterTheOther_computeWhatTheWholeEncoderDoes(int count) {
    try (CpuDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      float[] values = values(8, 6);
      double[] whole = rows(device, ROWS, values);
      Tensor previous = null;
      for (int stage = 0; stage < count; stage++) {
        Placement cut = new Placement(RankSet.range(0, count), 1, 1, count, 1, Division.USUAL);
        AudioProgram program = program(device, Stages.of(SIZES.layers(), cut, stage));
        assertThat(program.readsClips()).isEqualTo(stage == 0);
        program.stage(new int[][] {ROWS}, new float[][] {stage == 0 ? values : new float[0]});
        assertThat(program.inputShape(stage, 0))
            .isEqualTo(previous == null ? null : previous.shape());
        previous = Objects.requireNonNull(program.forward(stage, 0, Map.of(), previous));
      }
      assertThat(Objects.requireNonNull(previous).value().toDoubles()).containsExactly(whole);
    }
  }

  @Test
  void microBatch_withoutAClip_hasNoRows() {
    try (CpuDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      AudioProgram program = program(device, Stages.whole(SIZES.layers()));
      program.stage(new int[][] {{}, {0, 2}}, new float[][] {{}, values(2, 7)});
      assertThat(program.forward(0, Map.of())).isNull();
      assertThat(Objects.requireNonNull(program.forward(1, Map.of())).shape())
          .isEqualTo(Shape.of(2, LANGUAGE));
    }
  }

  @Test
  void frames_thatDoNotFitTheRows_areRefused() {
    try (CpuDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      AudioProgram program = program(device, Stages.whole(SIZES.layers()));
      assertThatThrownBy(() -> program.stage(new int[][] {{3}}, new float[][] {values(2, 7)}))
          .hasMessage("audio program: microbatch 0 has 12 values staged, wanted 3 rows of 6");
    }
  }

  @Test
  void rowCount_isFramesInRowsRoundedUp() {
    assertThat(List.of(1, 2, 3, 302).stream().map(SIZES::rowCount)).containsExactly(1, 1, 2, 151);
  }
}
