package dev.heddle.parallel.component;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Sum.sum;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A graph with branches, under layouts that share all, some or no ranks. */
class ModelRunnerTest {
  private static Diamond single() {
    return new Diamond(Mesh.single(0), Mesh.single(0), Mesh.single(0));
  }

  static Stream<Arguments> layouts() {
    return Stream.of(
        Arguments.of(2, Diamond.data(0, 2), Diamond.data(0, 2), Diamond.data(0, 2)),
        Arguments.of(2, Diamond.data(0, 2), Diamond.copies(0, 2), Diamond.data(0, 2)),
        Arguments.of(3, Diamond.data(0, 3), Diamond.data(1, 2), Diamond.copies(0, 2)),
        Arguments.of(6, Diamond.data(0, 2), Diamond.copies(2, 2), Diamond.data(4, 2)),
        Arguments.of(5, Diamond.copies(0, 2), Diamond.data(1, 4), Diamond.data(0, 5)),
        // A rank of the world that runs nothing, in front and behind.
        Arguments.of(4, Diamond.data(1, 2), Mesh.single(2), Mesh.single(1)));
  }

  private static void assertSame(Diamond.Result actual, Diamond.Result control) {
    List<StepResult> expected = control.steps().get(0);
    actual.steps().forEach((rank, steps) -> assertThat(steps).isEqualTo(actual.steps().get(0)));
    for (int i = 0; i < expected.size(); i++) {
      StepResult step = actual.steps().get(0).get(i);
      assertThat(step.tokens()).isEqualTo(expected.get(i).tokens());
      assertThat(step.loss()).isCloseTo(expected.get(i).loss(), within(1e-12));
      assertThat(step.gradientNorm()).isCloseTo(expected.get(i).gradientNorm(), within(1e-12));
    }
    assertThat(actual.weights().keySet()).isEqualTo(control.weights().keySet());
    control
        .weights()
        .forEach(
            (name, values) ->
                assertThat(actual.weights().get(name))
                    .as(name)
                    .containsExactly(values, within(1e-12)));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void diamond_underAnyLayout_trainsAsOnOneRank(int ranks, Mesh a, Mesh b, Mesh c) {
    assertSame(new Diamond(a, b, c).run(ranks), single().run(1));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void frozenComponent_isNotTrained_underAnyLayout(int ranks, Mesh a, Mesh b, Mesh c) {
    Diamond control = single();
    control.trainsA = false;
    control.gradientsToA = false;
    Diamond frozen = new Diamond(a, b, c);
    frozen.trainsA = false;
    frozen.gradientsToA = false;
    Diamond untrained = single();
    untrained.steps = 0;

    Diamond.Result result = frozen.run(ranks);

    assertSame(result, control.run(1));
    Map<String, double[]> initial = untrained.run(1).weights();
    assertThat(result.weights().get("a.weight")).containsExactly(initial.get("a.weight"));
    assertThat(result.weights().get("b.weight")).isNotEqualTo(initial.get("b.weight"));
  }

  @Test
  void parametersThatNoOptimizerUpdates_areNeitherCountedInTheNormNorKeepGradients() {
    Diamond withGradients = single();
    withGradients.trainsA = false;
    Diamond without = single();
    without.trainsA = false;
    without.gradientsToA = false;
    assertSame(withGradients.run(1), without.run(1));
    Diamond spread = new Diamond(Diamond.data(0, 2), Diamond.data(0, 2), Diamond.copies(0, 2));
    spread.trainsA = false;
    assertSame(spread.run(2), without.run(1));
  }

  @Test
  void outputThatLeavesByTwoBoundaries_getsTheSumOfTheirGradients() {
    // Were one of them lost, a would be trained as if b had nothing to say.
    Diamond.Result whole = single().run(1);
    Diamond frozenBranch = single();
    frozenBranch.trainsA = false;
    frozenBranch.gradientsToA = false;
    assertThat(whole.steps().get(0).getFirst().gradientNorm())
        .isGreaterThan(frozenBranch.run(1).steps().get(0).getFirst().gradientNorm() + 1e-3);
  }

  @Test
  void parameterThatNothingUses_isTreatedAlikeUnderEveryLayout() {
    // Its gradient is zero, made so by the reduction or not: weight decay applies in any case.
    Diamond untrained = single();
    untrained.steps = 0;
    double[] initial = untrained.run(1).weights().get("b.unused");
    double[] alone = single().run(1).weights().get("b.unused");
    double[] spread =
        new Diamond(Diamond.data(0, 2), Diamond.data(0, 2), Diamond.data(0, 2))
            .run(2)
            .weights()
            .get("b.unused");
    assertThat(spread).containsExactly(alone);
    for (int i = 0; i < initial.length; i++) {
      assertThat(alone[i]).isCloseTo(initial[i] * Math.pow(1 - 0.05 * 0.1, 4), within(1e-12));
    }
  }

  /** A program of one function. */
  private record Handing(
      List<Parameter> parameters, Function<Map<String, Tensor>, Tensor> function, long validTokens)
      implements ComponentProgram {
    @Override
    public Tensor forward(int microBatch, Map<String, Tensor> incoming) {
      return function.apply(incoming);
    }
  }

  @Test
  void parameterHandedOutAsRows_andRowsHandedThrough_areNotGivenBackWithTheMicroBatch() {
    // Learned queries: the output of a is its parameter itself; b hands its input through.
    ModelGraph graph = single().graph();
    int microBatches = 3;
    RowPlacement counts = RowPlacement.dense(RowCounts.perSample(2));
    LocalWorld.run(
        1,
        world -> {
          try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
              MemoryScope scope = MemoryScope.open()) {
            Parameter queries =
                new LocalLayers(device, DType.F64, 1)
                    .parameter("queries", Shape.of(2, Diamond.FEATURES), Initializer.ONES);
            Map<String, Handing> programs =
                Map.of(
                    Diamond.A, new Handing(List.of(queries), in -> queries.tensor(), 0),
                    Diamond.B, new Handing(List.of(), in -> in.get(Diamond.A), 0),
                    Diamond.C,
                        new Handing(
                            List.of(), in -> sum(add(in.get(Diamond.A), in.get(Diamond.B))), 6));
            Map<String, ComponentOptimizer> optimizers = new LinkedHashMap<>();
            programs.forEach(
                (name, program) ->
                    optimizers.put(
                        name,
                        new ComponentOptimizer(
                            world,
                            graph.component(name),
                            program.parameters(),
                            ComponentOptimizer.Options.of(AdamW.Settings.withDecay(0)))));
            ModelRunner runner =
                new ModelRunner(
                    world,
                    graph,
                    graph.schedule(microBatches),
                    device,
                    DType.F64,
                    programs,
                    optimizers,
                    LossScaler.fixed(1));
            for (int step = 0; step < 2; step++) {
              double loss = 2 * sum(queries.tensor()).item() * microBatches / 6;
              StepResult result =
                  runner.step(
                      (boundary, microBatch) -> counts,
                      new ModelRunner.Update(0.1, Double.POSITIVE_INFINITY));
              assertThat(result.loss()).isCloseTo(loss, within(1e-12));
              // Each of 6 elements counts twice in each microbatch; N is 6.
              assertThat(result.gradientNorm())
                  .isCloseTo(Math.sqrt(6) * 2 * microBatches / 6, within(1e-12));
            }
            assertThat(queries.tensor().value().toDoubles()).doesNotContain(1.0);
          }
        });
  }

  @Test
  void rankWithoutTheProgramOfItsComponent_isRefused() {
    ModelGraph graph = single().graph();
    assertThatThrownBy(
            () ->
                LocalWorld.run(
                    1,
                    world -> {
                      try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
                          MemoryScope scope = MemoryScope.open()) {
                        new ModelRunner(
                            world,
                            graph,
                            graph.schedule(1),
                            device,
                            DType.F64,
                            Map.of(),
                            Map.of(),
                            LossScaler.fixed(1));
                      }
                    }))
        .hasMessageContaining("this rank runs component a but was given no");
  }
}
