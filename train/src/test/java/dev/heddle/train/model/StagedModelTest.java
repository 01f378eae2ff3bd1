package dev.heddle.train.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A model cut into pipeline stages computes, to the bit, what it computes in one piece. */
class StagedModelTest {
  private static final int LAYERS = 5;
  private static final int VOCABULARY = 23;
  private static final int PATCHES = 4;
  private static final FusedBatch BATCH =
      new FusedBatch(
          Map.of(CaptionModel.VISION, new int[] {PATCHES, PATCHES, 0}), new int[] {5, 3, 6}, false);

  /** A way to cut five blocks; chunks are stages that come back to the same rank. */
  private static Placement cut(int pp, int chunks, Integer... stageLayers) {
    return new Placement(
        RankSet.range(0, pp),
        1,
        1,
        pp,
        1,
        new Division(Division.USUAL.cpMethod(), false, List.of(stageLayers), chunks, false));
  }

  static Stream<Arguments> cuts() {
    List<Placement> cuts =
        List.of(
            cut(1, 1),
            cut(2, 1),
            cut(3, 1),
            cut(4, 1),
            cut(5, 1),
            cut(2, 1, 4, 1),
            cut(3, 1, 1, 3, 1),
            cut(2, 2),
            cut(2, 2, 1, 2, 1, 1),
            cut(1, 3));
    return cuts.stream()
        .flatMap(
            cut ->
                Stream.of(false, true)
                    .flatMap(
                        tied ->
                            Stream.of(false, true)
                                .map(recompute -> Arguments.of(cut, tied, recompute))));
  }

  /** What a pass came to: the output, the gradient of the input rows, those of parameters. */
  private record Pass(double[] output, double[] rows, Map<String, double[]> gradients) {}

  /** One rank's program and its stages; several of them make a pipeline. */
  private static List<StagedProgram> programs(
      Placement cut, int layers, Function<Stages, StagedProgram> make) {
    List<StagedProgram> programs = new ArrayList<>();
    for (int rank = 0; rank < cut.pp(); rank++) {
      programs.add(make.apply(Stages.of(layers, cut, rank)));
    }
    return programs;
  }

  /** Runs the stages one after the other and back, each in a graph of its own. */
  private static Pass run(
      List<StagedProgram> ranks, int stages, Map<String, Tensor> incoming, boolean isLoss) {
    List<Tensor> inputs = new ArrayList<>();
    List<Tensor> outputs = new ArrayList<>();
    for (int stage = 0; stage < stages; stage++) {
      StagedProgram program = ranks.get(stage % ranks.size());
      Tensor input = stage == 0 ? null : Tensor.leaf(outputs.get(stage - 1).value().copy());
      Shape wanted = program.inputShape(stage, 0);
      assertThat(wanted).isEqualTo(input == null ? null : input.shape());
      Map<String, Tensor> rows = stage == 0 ? incoming : Map.of();
      outputs.add(Objects.requireNonNull(program.forward(stage, 0, rows, input)));
      inputs.add(input == null ? outputs.getFirst() : input);
    }
    Tensor last = outputs.getLast();
    double[] output = last.value().toDoubles();
    NDArray gradient = isLoss ? null : likeOutput(last);
    for (int stage = stages - 1; stage >= 0; stage--) {
      if (gradient == null) {
        outputs.get(stage).backward();
      } else {
        outputs.get(stage).backward(gradient);
      }
      gradient = stage == 0 ? null : Objects.requireNonNull(inputs.get(stage).gradient());
    }
    Map<String, double[]> gradients = new LinkedHashMap<>();
    for (StagedProgram program : ranks) {
      for (Parameter parameter : program.parameters()) {
        double[] values = parameter.tensor().gradientOrZeros().toDoubles();
        gradients.merge(parameter.name(), values, StagedModelTest::sum);
      }
    }
    Tensor rows = incoming.get(CaptionModel.VISION);
    double[] back = rows == null ? new double[0] : rows.gradientOrZeros().toDoubles();
    return new Pass(output, back, gradients);
  }

  private static NDArray likeOutput(Tensor output) {
    double[] values = new Random(3).doubles(output.value().size(), -1, 1).toArray();
    return NDArray.of(output.device(), DType.F64, Shape.of(values.length), values)
        .reshape(output.shape().toArray());
  }

  private static double[] sum(double[] left, double[] right) {
    double[] sum = left.clone();
    for (int i = 0; i < sum.length; i++) {
      sum[i] += right[i];
    }
    return sum;
  }

  private static void onDevice(Consumer<CpuDevice> body) {
    try (CpuDevice cpu = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      body.accept(cpu);
    }
  }

  private static Pass language(CpuDevice device, Placement cut, boolean tied, boolean recompute) {
    ModelConfig.Language sizes = new ModelConfig.Language(LAYERS, 8, 2, 12, tied, recompute);
    List<StagedProgram> programs =
        programs(
            cut,
            LAYERS,
            stages -> {
              LocalLayers layers = new LocalLayers(device, DType.F64, 11);
              LanguageProgram program =
                  new LanguageProgram(
                      new LanguageModel(layers, sizes, VOCABULARY, stages), layers, tied, false);
              program.stage(List.of(captions()));
              return program;
            });
    Tensor rows =
        Tensor.leaf(
            NDArray.of(
                device,
                DType.F64,
                Shape.of(2 * PATCHES, 8),
                new Random(5).doubles(2 * PATCHES * 8, -1, 1).toArray()));
    return run(programs, cut.stageCount(), Map.of(CaptionModel.VISION, rows), true);
  }

  private static LanguageProgram.Captions captions() {
    Random random = new Random(7);
    int[][] words = new int[BATCH.samples()][];
    int[][] targets = new int[BATCH.samples()][];
    for (int i = 0; i < words.length; i++) {
      words[i] = random.ints(BATCH.textLength(i), 0, VOCABULARY).toArray();
      targets[i] = random.ints(BATCH.textLength(i), -1, VOCABULARY).toArray();
    }
    return new LanguageProgram.Captions(BATCH, new Interval(0, 3), words, targets);
  }

  private static Pass vision(CpuDevice device, Placement cut, boolean recompute) {
    ModelConfig.Vision sizes = new ModelConfig.Vision(LAYERS, 8, 2, 4, 8, recompute);
    float[] pictures = new float[2 * 3 * 8 * 8];
    Random random = new Random(9);
    for (int i = 0; i < pictures.length; i++) {
      pictures[i] = random.nextFloat() - 0.5f;
    }
    List<StagedProgram> programs =
        programs(
            cut,
            LAYERS,
            stages -> {
              LocalLayers layers = new LocalLayers(device, DType.F64, 11);
              VisionProgram program =
                  new VisionProgram(new VisionEncoder(layers, sizes, 10, 6, stages), layers, sizes);
              program.stage(new int[] {2}, new float[][] {pictures});
              return program;
            });
    return run(programs, cut.stageCount(), Map.of(), false);
  }

  private static void assertSame(Supplier<Pass> whole, Supplier<Pass> cut, String shared) {
    Pass expected = whole.get();
    Pass found = cut.get();
    assertThat(found.output).isEqualTo(expected.output);
    assertThat(found.rows).isEqualTo(expected.rows);
    assertThat(found.gradients.keySet())
        .containsExactlyInAnyOrderElementsOf(expected.gradients.keySet());
    expected.gradients.forEach(
        (name, values) -> {
          double[] mine = Objects.requireNonNull(found.gradients.get(name));
          if (name.equals(shared)) {
            // Summed over two ranks, and so in another order.
            assertThat(mine).as(name).containsExactly(values, within(1e-12));
          } else {
            assertThat(mine).as(name).isEqualTo(values);
          }
          assertThat(Arrays.stream(values)).as(name).anyMatch(value -> value != 0);
        });
  }

  @ParameterizedTest
  @MethodSource("cuts")
  void language_inStages_hasTheLossAndGradientsOfOnePiece(
      Placement cut, boolean tied, boolean recompute) {
    String shared = tied && cut.pp() > 1 ? "language.words.weight" : "";
    onDevice(
        device ->
            assertSame(
                () -> language(device, cut(1, 1), tied, false),
                () -> language(device, cut, tied, recompute),
                shared));
  }

  @ParameterizedTest
  @MethodSource("cuts")
  void vision_inStages_hasTheRowsAndGradientsOfOnePiece(
      Placement cut, boolean tied, boolean recompute) {
    onDevice(
        device ->
            assertSame(
                () -> vision(device, cut(1, 1), false), () -> vision(device, cut, recompute), ""));
  }

  @Test
  void tiedWords_areOneParameterOfTheFirstAndTheLastStage_withTheSameValues() {
    onDevice(
        device -> {
          ModelConfig.Language sizes = new ModelConfig.Language(LAYERS, 8, 2, 12, true, false);
          List<LanguageModel> models = new ArrayList<>();
          for (int rank = 0; rank < 3; rank++) {
            models.add(
                new LanguageModel(
                    new LocalLayers(device, DType.F64, 11),
                    sizes,
                    VOCABULARY,
                    Stages.of(LAYERS, cut(3, 1), rank)));
          }
          assertThat(names(models.get(0))).contains("language.words.weight");
          assertThat(names(models.get(1))).allMatch(name -> name.startsWith("language.block"));
          assertThat(names(models.get(2)))
              .contains("language.words.weight")
              .doesNotContain("language.head.weight", "language.positions");
          assertThat(models.get(2).parameters().getFirst().tensor().value().toDoubles())
              .isEqualTo(models.get(0).parameters().getFirst().tensor().value().toDoubles());
          LanguageProgram program =
              new LanguageProgram(
                  models.get(1), new LocalLayers(device, DType.F64, 11), true, false);
          assertThat(program.sharedParameters())
              .isEqualTo(Map.of("language.words.weight", List.of(0, 2)));
        });
  }

  private static List<String> names(LanguageModel model) {
    return model.parameters().stream().map(Parameter::name).toList();
  }

  @Test
  void stagesThatDoNotFitTheBlocks_areRefused() {
    assertThatThrownBy(() -> Stages.of(3, cut(4, 1), 0)).hasMessageContaining("fewer stages");
    assertThatThrownBy(() -> Stages.of(5, cut(2, 1, 2, 2), 0))
        .hasMessageContaining("stageLayers [2, 2]")
        .hasMessageContaining("together 5 blocks");
    assertThatThrownBy(() -> Stages.of(5, ParallelConfig.Placement.singleRank(), 0).require(1, "c"))
        .hasMessageContaining("it runs [0]");
  }
}
