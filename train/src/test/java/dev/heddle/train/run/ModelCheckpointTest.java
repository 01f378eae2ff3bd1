package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.LossScaler;
import dev.heddle.parallel.component.ParameterDirectory;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.checkpoint.CheckpointException;
import dev.heddle.train.checkpoint.CheckpointStore;
import dev.heddle.train.checkpoint.SafetensorsFile;
import dev.heddle.train.checkpoint.TensorSpec;
import dev.heddle.train.checkpoint.TensorType;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.Precision;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.config.TrainConfig;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.report.StepMetrics;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A checkpoint knows nothing of the layout that wrote it. */
class ModelCheckpointTest {
  @TempDir Path folder;

  private static final int FIRST_SAVE = 3;
  private static final int SECOND_SAVE = 5;

  private static void assertSameCurve(
      List<StepMetrics> actual, List<StepMetrics> control, double tolerance) {
    assertThat(actual).hasSameSizeAs(control);
    for (int i = 0; i < control.size(); i++) {
      StepMetrics expected = control.get(i);
      StepMetrics step = actual.get(i);
      assertThat(step.step()).isEqualTo(expected.step());
      assertThat(step.tokens()).isEqualTo(expected.tokens());
      assertThat(step.learningRate()).isEqualTo(expected.learningRate());
      assertThat(step.loss())
          .as("loss of step %d", step.step())
          .isCloseTo(expected.loss(), within(tolerance * expected.loss()));
      assertThat(step.gradNorm())
          .as("gradient norm of step %d", step.step())
          .isCloseTo(expected.gradNorm(), within(tolerance * expected.gradNorm()));
    }
  }

  static Stream<List<ParallelConfig>> chains() {
    return Stream.of(
        List.of(TinyRun.DP2_TP2, TinyRun.TP2_DP2, TinyRun.ONE_RANK),
        List.of(TinyRun.ONE_RANK, TinyRun.TP3_APART_DP2, TinyRun.DP2_TP2),
        List.of(TinyRun.DIVIDED_DP2_TP2, TinyRun.DIVIDED_TP2DP2_DP3, TinyRun.ONE_RANK),
        List.of(TinyRun.TP2_DP2, TinyRun.DIVIDED_TP2DP2_DP3, TinyRun.DIVIDED_DP2_TP2));
  }

  @ParameterizedTest
  @MethodSource("chains")
  void runThatChangesItsLayoutTwice_hasTheLossesOfTheUninterruptedOne(
      List<ParallelConfig> layouts) {
    RunConfig single = TinyRun.config(folder, TinyRun.ONE_RANK);
    TrainingData data = TinyRun.data(single);
    RunConfig elsewhere = single.withOutput(folder.resolve("control"));
    List<StepMetrics> control = TinyRun.train(elsewhere, data, null, TinyRun.STEPS);

    List<StepMetrics> steps = new ArrayList<>();
    int[] ends = {FIRST_SAVE, SECOND_SAVE, TinyRun.STEPS};
    for (int part = 0; part < ends.length; part++) {
      RunConfig config = single.withParallel(layouts.get(part));
      if (part == 0) {
        steps.addAll(TinyRun.train(config, data, null, ends[part]));
      } else {
        try (Checkpoint checkpoint = TinyRun.newest(config)) {
          assertThat(checkpoint.step()).isEqualTo(ends[part - 1]);
          steps.addAll(TinyRun.train(config, data, checkpoint, ends[part]));
        }
      }
    }

    assertSameCurve(steps, control, 1e-9);
    assertSameWeights(single, elsewhere);
  }

  private static void assertSameWeights(RunConfig one, RunConfig other) {
    try (Checkpoint mine = TinyRun.newest(one);
        Checkpoint control = TinyRun.newest(other)) {
      for (String file : List.of(ModelCheckpoint.MODEL_FILE, ModelCheckpoint.OPTIMIZER_FILE)) {
        SafetensorsFile actual = mine.tensors(file);
        SafetensorsFile expected = control.tensors(file);
        assertThat(actual.tensors()).isEqualTo(expected.tensors());
        for (TensorSpec tensor : expected.tensors()) {
          double[] values = doubles(expected, tensor);
          double largest = 1e-300;
          for (double value : values) {
            largest = Math.max(largest, Math.abs(value));
          }
          // Of a key bias only rounding is left of the gradient, and so of its moments.
          if (!tensor.name().contains(".qkv.bias.")) {
            assertThat(doubles(actual, tensor))
                .as(tensor.name())
                .containsExactly(values, within(1e-9 * largest));
          }
        }
      }
    }
  }

  private static double[] doubles(SafetensorsFile file, TensorSpec tensor) {
    return file.data(tensor.name()).toArray(ValueLayout.JAVA_DOUBLE_UNALIGNED);
  }

  @ParameterizedTest
  @CsvSource({"F32,false", "F64,false", "BF16,false", "BF16,true", "F64,true"})
  void resumedUnderTheSameLayout_theRunHasTheSameBits(Precision dtype, boolean divided) {
    ParallelConfig layout = divided ? TinyRun.DIVIDED_TP2DP2_DP3 : TinyRun.DP2_TP2;
    RunConfig config = TinyRun.with(TinyRun.config(folder, layout), dtype, TinyRun.MODEL);
    TrainingData data = TinyRun.data(config);
    List<StepMetrics> control =
        TinyRun.train(config.withOutput(folder.resolve("control")), data, null, TinyRun.STEPS);
    List<StepMetrics> steps = new ArrayList<>(TinyRun.train(config, data, null, FIRST_SAVE));
    try (Checkpoint checkpoint = TinyRun.newest(config)) {
      steps.addAll(TinyRun.train(config, data, checkpoint, TinyRun.STEPS));
    }
    // For bf16 this needs the exact weights beside the rounded ones.
    assertSameCurve(steps, control, 0);
  }

  @Test
  void checkpoint_holdsGlobalTensors_byGlobalNamesAndShapes() {
    RunConfig config = TinyRun.config(folder, TinyRun.TP3_APART_DP2);
    TrainingData data = TinyRun.data(config);
    TinyRun.train(config, data, null, 1);
    List<TensorSpec> expected = new ArrayList<>();
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      CaptionModel.globalParameters(
              config.model(), data.tokenizer().vocabularySize(), data.graph(), meta, DType.F64)
          .values()
          .stream()
          .flatMap(List::stream)
          .map(ModelCheckpointTest::spec)
          .forEach(expected::add);
    }
    try (Checkpoint checkpoint = TinyRun.newest(config)) {
      assertThat(checkpoint.tensors(ModelCheckpoint.MODEL_FILE).tensors())
          .containsExactlyInAnyOrderElementsOf(expected)
          .contains(TensorSpec.of("language.block1.attention.qkv.weight", TensorType.F64, 3, 8, 8));
      assertThat(checkpoint.tensors(ModelCheckpoint.OPTIMIZER_FILE).tensors())
          .hasSize(2 * expected.size());
      assertThat(checkpoint.attribute("updates.vision")).contains("1");
      assertThat(checkpoint.text("config.yaml")).contains("hiddenSize: 8");
    }
  }

  private static TensorSpec spec(Parameter parameter) {
    return TensorSpec.of(parameter.name(), TensorType.F64, parameter.globalShape().toArray());
  }

  @Test
  void checkpointOfAnotherModelOrDtype_isRefused_withWhatDiffers() {
    RunConfig config = TinyRun.config(folder, TinyRun.DP2_TP2);
    TrainingData data = TinyRun.data(config);
    TinyRun.train(config, data, null, 1);

    assertRefused(
        TinyRun.with(config, Precision.F32, TinyRun.MODEL),
        data,
        "has vision.patch.weight F64[8, 768], and the model wants vision.patch.weight F32[8, 768]",
        "model sizes and dtype must be those that it was saved with");
    assertRefused(
        TinyRun.with(config, Precision.F64, language(2, 16)),
        data,
        "and the model wants vision.projector.down.weight F64[16, 10]");
    // The smaller model's tensors are all there, and the larger one's are not.
    assertRefused(
        TinyRun.with(config, Precision.F64, language(1, 8)),
        data,
        "has language.block1.",
        "which the model does not have");
    assertRefused(
        TinyRun.with(config, Precision.F64, language(3, 8)),
        data,
        "has no tensor language.block2.");
  }

  @Test
  void skippedSteps_areNotCountedAsUpdatesWhenResumed() {
    // 5 steps of which 3 were skipped: the moments' bias correction goes by the 2 updates.
    RunConfig config = TinyRun.config(folder, TinyRun.ONE_RANK);
    TrainingData data = TinyRun.data(config);
    CheckpointStore store = new CheckpointStore(folder.resolve("store"), 1);
    onOneRank(
        config,
        data,
        (state, optimizer) -> {
          optimizer.step(0.1, 1);
          optimizer.step(0.1, 1);
          store.save(5, draft -> state.write(draft, state.updates()));
        });
    try (Checkpoint checkpoint = CheckpointStore.resume(folder.resolve("store"))) {
      assertThat(checkpoint.step()).isEqualTo(5);
      onOneRank(
          config,
          data,
          (state, optimizer) -> {
            state.load(checkpoint);
            assertThat(optimizer.steps()).isEqualTo(2);
            assertThat(state.updates()).containsExactly(2, 0);
          });
    }
  }

  private static RunConfig frozen(RunConfig config, String... components) {
    TrainConfig train = config.train();
    Map<String, TrainConfig.ComponentTraining> own = new LinkedHashMap<>();
    for (String component : components) {
      own.put(component, new TrainConfig.ComponentTraining(null, true));
    }
    return TinyRun.with(
        config,
        new TrainConfig(
            train.steps(),
            train.globalBatch(),
            train.microBatches(),
            train.learningRate(),
            train.warmupSteps(),
            train.weightDecay(),
            train.clipNorm(),
            train.lossScale(),
            own));
  }

  @ParameterizedTest
  @EnumSource(
      value = Precision.class,
      names = {"F64", "BF16"})
  void frozenComponent_hasNoState_andBeginsWithNoneWhenItIsTrained(Precision dtype) {
    RunConfig single = TinyRun.with(TinyRun.config(folder, TinyRun.ONE_RANK), dtype, TinyRun.MODEL);
    RunConfig spread = single.withParallel(TinyRun.DIVIDED_DP2_TP2);
    TrainingData data = TinyRun.data(single);
    TinyRun.train(frozen(spread, CaptionModel.VISION), data, null, FIRST_SAVE);
    List<StepMetrics> here = new ArrayList<>();
    List<StepMetrics> there = new ArrayList<>();
    try (Checkpoint checkpoint = TinyRun.newest(spread)) {
      assertThat(checkpoint.attribute("updates.vision")).isEmpty();
      assertThat(checkpoint.attribute("updates.language")).contains("" + FIRST_SAVE);
      assertThat(checkpoint.tensors(ModelCheckpoint.OPTIMIZER_FILE).tensors())
          .allMatch(tensor -> tensor.name().startsWith("language."));
      assertThat(checkpoint.tensors(ModelCheckpoint.MODEL_FILE).tensors())
          .anyMatch(tensor -> tensor.name().startsWith("vision."));
      RunConfig elsewhere = spread.withOutput(folder.resolve("there"));
      here.addAll(
          TinyRun.train(
              single.withOutput(folder.resolve("here")), data, checkpoint, TinyRun.STEPS));
      there.addAll(TinyRun.train(elsewhere, data, checkpoint, TinyRun.STEPS));
      try (Checkpoint later = TinyRun.newest(elsewhere)) {
        assertThat(later.attribute("updates.vision")).contains("" + (TinyRun.STEPS - FIRST_SAVE));
        assertThat(later.attribute("updates.language")).contains("" + TinyRun.STEPS);
      }
    }
    assertSameCurve(there, here, dtype == Precision.F64 ? 1e-9 : 0.05);
  }

  @Test
  void componentThatIsFrozenFromACheckpointOn_keepsItsWeightsOfThere() {
    RunConfig config = TinyRun.config(folder, TinyRun.DP2_TP2);
    TrainingData data = TinyRun.data(config);
    TinyRun.train(config, data, null, FIRST_SAVE);
    RunConfig later = config.withOutput(folder.resolve("later"));
    try (Checkpoint before = TinyRun.newest(config)) {
      TinyRun.train(
          frozen(later, CaptionModel.LANGUAGE).withParallel(TinyRun.TP3_APART_DP2),
          data,
          before,
          SECOND_SAVE);
      try (Checkpoint after = TinyRun.newest(later)) {
        SafetensorsFile old = before.tensors(ModelCheckpoint.MODEL_FILE);
        SafetensorsFile now = after.tensors(ModelCheckpoint.MODEL_FILE);
        for (TensorSpec tensor : old.tensors()) {
          boolean same = Arrays.equals(doubles(old, tensor), doubles(now, tensor));
          assertThat(same).as(tensor.name()).isEqualTo(tensor.name().startsWith("language."));
        }
        assertThat(after.attribute("updates.vision")).contains("" + SECOND_SAVE);
        assertThat(after.attribute("updates.language")).isEmpty();
      }
    }
  }

  @Test
  void adaptiveLossScale_goesOnWhereItWas_andAFixedOneStays() {
    RunConfig config = TinyRun.config(folder, TinyRun.ONE_RANK);
    TrainingData data = TinyRun.data(config);
    CheckpointStore store = new CheckpointStore(folder.resolve("store"), 1);
    LossScaler scaler = LossScaler.adaptive();
    scaler.resumeAt(512, 7);
    onOneRank(
        config,
        data,
        scaler,
        (state, optimizer) -> store.save(5, draft -> state.write(draft, state.updates())));
    LossScaler adaptive = LossScaler.adaptive();
    LossScaler fixed = LossScaler.fixed(3);
    try (Checkpoint checkpoint = CheckpointStore.resume(folder.resolve("store"))) {
      onOneRank(config, data, adaptive, (state, optimizer) -> state.load(checkpoint));
      onOneRank(config, data, fixed, (state, optimizer) -> state.load(checkpoint));
    }
    assertThat(adaptive.scale()).isEqualTo(512);
    assertThat(adaptive.finiteSteps()).isEqualTo(7);
    assertThat(fixed.scale()).isEqualTo(3);
  }

  private static void onOneRank(
      RunConfig config, TrainingData data, BiConsumer<ModelCheckpoint, AdamW> body) {
    onOneRank(config, data, LossScaler.fixed(1), body);
  }

  private static void onOneRank(
      RunConfig config,
      TrainingData data,
      LossScaler scaler,
      BiConsumer<ModelCheckpoint, AdamW> body) {
    LocalWorld.run(
        1,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu", 1, CpuBackend.REFERENCE),
            (world, device) -> {
              int words = data.tokenizer().vocabularySize();
              Map<String, ComponentProgram> programs =
                  CaptionModel.programs(
                      config.model(),
                      config.parallel(),
                      words,
                      data.graph(),
                      world,
                      device,
                      DType.F64,
                      1);
              Map<String, ComponentOptimizer> optimizers = new LinkedHashMap<>();
              programs.forEach(
                  (name, program) ->
                      optimizers.put(
                          name,
                          new ComponentOptimizer(
                              world,
                              data.graph().component(name),
                              program.parameters(),
                              ComponentOptimizer.Options.of(AdamW.Settings.withDecay(0)))));
              Map<String, List<Parameter>> global = new LinkedHashMap<>();
              programs.forEach((name, program) -> global.put(name, program.parameters()));
              ParameterDirectory directory =
                  new ParameterDirectory(world, data.graph(), global, programs, optimizers);
              body.accept(
                  new ModelCheckpoint(directory, device, DType.F64, optimizers, scaler),
                  Objects.requireNonNull(optimizers.get(CaptionModel.VISION)).adamW());
            }));
  }

  private static ModelConfig language(int layers, int size) {
    return new ModelConfig(
        TinyRun.MODEL.vision(),
        TinyRun.MODEL.projector(),
        new ModelConfig.Language(layers, size, 4, 16));
  }

  private static void assertRefused(RunConfig config, TrainingData data, String... texts) {
    try (Checkpoint checkpoint = TinyRun.newest(config)) {
      assertThatThrownBy(() -> TinyRun.train(config, data, checkpoint, 2))
          .hasCauseInstanceOf(CheckpointException.class)
          .hasMessageContainingAll(texts);
    }
  }
}
