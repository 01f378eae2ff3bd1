package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.checkpoint.CheckpointStore;
import dev.heddle.train.checkpoint.SafetensorsFile;
import dev.heddle.train.checkpoint.TensorSpec;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.report.StepMetrics;
import dev.heddle.train.run.TrainingData;
import dev.heddle.train.run.TrainingRun;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * One model, one curve: homogeneous, colocated, non-colocated and mixed runs of the trainer, and
 * runs that are saved, laid out anew and resumed, have the losses and gradient norms of a single
 * rank and end in its weights and optimizer state. Words are tied, some samples have no picture.
 */
class SameCurveTest {
  private static final int STEPS = 8;
  private static final double TOLERANCE = 1e-9;
  private static final String ONE_RANK = "dp1@0 | dp1@0";

  @TempDir static Path shared;
  @TempDir Path folder;

  private static List<StepMetrics> control = List.of();

  @BeforeAll
  static void trainOnOneRank() {
    control = train(config(ONE_RANK, shared), null, STEPS);
  }

  private static RunConfig config(String layout, Path output) {
    List<String> sets =
        List.of(
            "dtype=f64",
            "output='" + output + "'",
            "data.textOnly=0.3",
            "model.vision={layers: 2, hiddenSize: 8, heads: 4, patchSize: 16, imageSize: 32}",
            "model.projector.hiddenSize=10",
            "model.language={layers: 3, hiddenSize: 8, heads: 4, contextLength: 16,"
                + " tiedEmbeddings: true}",
            "train={steps: 8, globalBatch: 12, microBatches: 3, learningRate: 0.01,"
                + " warmupSteps: 2}");
    RunConfig config =
        ConfigLoader.load(
            Path.of("..", "examples", "colocated.yaml"),
            sets.stream().map(ConfigOverride::set).toList());
    return config.withParallel(Layouts.of(layout));
  }

  private static List<StepMetrics> train(
      RunConfig config, @Nullable Checkpoint resumed, int lastStep) {
    List<StepMetrics> steps = new ArrayList<>();
    new TrainingRun(config, TrainingData.open(config)).train(resumed, lastStep, steps::add);
    return steps;
  }

  private void assertSameCurve(List<StepMetrics> steps) {
    assertThat(steps).hasSameSizeAs(control);
    for (int i = 0; i < STEPS; i++) {
      StepMetrics expected = control.get(i);
      StepMetrics step = steps.get(i);
      assertThat(List.of(step.step(), step.tokens()))
          .isEqualTo(List.of(expected.step(), expected.tokens()));
      assertThat(step.learningRate()).isEqualTo(expected.learningRate());
      assertThat(step.loss())
          .as("loss of step %d", step.step())
          .isCloseTo(expected.loss(), within(TOLERANCE * expected.loss()));
      assertThat(step.gradNorm())
          .as("gradient norm of step %d", step.step())
          .isCloseTo(expected.gradNorm(), within(TOLERANCE * expected.gradNorm()));
    }
    try (Checkpoint mine = CheckpointStore.resume(folder);
        Checkpoint single = CheckpointStore.resume(shared)) {
      for (String file : List.of("model.safetensors", "optimizer.safetensors")) {
        assertSameTensors(mine.tensors(file), single.tensors(file));
      }
    }
  }

  private static void assertSameTensors(SafetensorsFile actual, SafetensorsFile expected) {
    assertThat(actual.tensors()).isEqualTo(expected.tensors()).isNotEmpty();
    for (TensorSpec tensor : expected.tensors()) {
      // Of a key bias only rounding is left of the gradient, and so of its moments.
      if (!tensor.name().contains(".qkv.bias.")) {
        double[] values = doubles(expected, tensor);
        double largest = Arrays.stream(values).map(Math::abs).max().orElse(0) + 1e-300;
        assertThat(doubles(actual, tensor))
            .as(tensor.name())
            .containsExactly(values, within(TOLERANCE * largest));
      }
    }
  }

  private static double[] doubles(SafetensorsFile file, TensorSpec tensor) {
    return file.data(tensor.name()).toArray(ValueLayout.JAVA_DOUBLE_UNALIGNED);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tp2sp.dp2z@0-3 | tp2sp.dp2z@0-3", // homogeneous
        "dp2@0-1 | pp2@0-1", // colocated
        "dp2@0-1 | pp2@0-1; zero-bubble",
        "dp3@0-2 | cp2.pp2@3-6", // non-colocated
        "dp3z@0-2 | tp2@2-3", // mixed
        "pp2.cp2@0-3 | pp3.dp2z@2-7; gpipe"
      })
  void everyPlacement_hasTheCurveOfOneRank(String layout) {
    assertSameCurve(train(config(layout, folder), null, STEPS));
  }

  /** Layouts one after the other, each resumed from what the last one saved. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "dp2@0-1 | pp2@0-1 > dp3@0-2 | cp2.pp2@3-6 > dp1@0 | dp1@0",
        "dp1@0 | dp1@0 > pp2@0-1 | pp3.tp2@1-6; zero-bubble > dp2z@0-1 | dp3z@1-3",
        "tp2sp.dp2z@0-3 | tp2sp.dp2z@0-3 > dp2@0-1 | pp2.dp2z@2-5; gpipe > cp2@0-1 | tp2cp2@0-3",
        "cp2all-gather@0-1 | cp4all-to-all@0-3 > dp3z@0-2 | tp2@2-3 > pp2.dp2z@0-3 | pp3@4-6"
      })
  void runThatIsSavedAndLaidOutAnewTwice_hasTheCurveOfOneRank(String layouts) {
    List<StepMetrics> steps = new ArrayList<>();
    List<String> parts = Stream.of(layouts.split(">")).map(String::strip).toList();
    int[] ends = {3, 5, STEPS};
    for (int part = 0; part < ends.length; part++) {
      RunConfig config = config(parts.get(part), folder);
      if (part == 0) {
        steps.addAll(train(config, null, ends[part]));
      } else {
        try (Checkpoint checkpoint = CheckpointStore.resume(folder)) {
          assertThat(checkpoint.step()).isEqualTo(ends[part - 1]);
          steps.addAll(train(config, checkpoint, ends[part]));
        }
      }
    }
    assertSameCurve(steps);
  }

  @Test
  void curve_isThatOfAModelThatLearns() {
    assertThat(control.getLast().loss()).isLessThan(control.getFirst().loss());
  }
}
