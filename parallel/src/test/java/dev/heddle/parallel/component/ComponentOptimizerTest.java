package dev.heddle.parallel.component;

import static dev.heddle.ops.Scale.scale;
import static dev.heddle.ops.Sum.sum;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.nn.Initializer;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Which ranks hold a parameter, and that its gradient is their sum and counts once. Stage s of a
 * component has the parameters a.s, divided over TP, b.s, a copy on TP ranks, and c.s, whose
 * gradient is partial over TP; the first and the last stage share "tied".
 */
class ComponentOptimizerTest {
  private static final int ROWS = 5;

  private static Mesh mesh(int tp, int cp, int pp, int dp) {
    return Mesh.onRanks(0, tp * cp * pp * dp)
        .axis(Axis.TP, tp)
        .axis(Axis.CP, cp)
        .axis(Axis.PP, pp)
        .axis(Axis.DP, dp)
        .build();
  }

  private static List<Parameter> parameters(LocalLayers layers, Mesh mesh, int rank) {
    int stage = mesh.coordinate(rank, Axis.PP);
    boolean first = stage == 0;
    boolean last = stage == mesh.size(Axis.PP) - 1;
    List<Parameter> parameters = new ArrayList<>();
    if (first) {
      parameters.add(layers.parameter("tied", Shape.of(3), Initializer.ONES));
    }
    int tp = mesh.coordinate(rank, Axis.TP);
    Parameter part = layers.parameter("a." + stage + "." + tp, Shape.of(tp + 2), Initializer.ONES);
    parameters.add(
        new Parameter(
            "a." + stage, part.tensor(), Shape.of(ROWS), mesh.size(Axis.TP) > 1 ? 0 : -1, 0, true));
    parameters.add(layers.parameter("b." + stage, Shape.of(4), Initializer.ONES));
    Parameter c = layers.parameter("c." + stage, Shape.of(5), Initializer.ONES);
    parameters.add(new Parameter(c.name(), c.tensor(), c.globalShape(), -1, 0, true, true));
    if (last && !first) {
      parameters.add(layers.parameter("tied", Shape.of(3), Initializer.ONES));
    }
    return parameters;
  }

  /** What a rank contributes to the gradient of each element; TP copies of b and tied agree. */
  private static double contribution(Mesh mesh, int rank, String name) {
    double samples = 1 + mesh.coordinate(rank, Axis.DP) + 10 * mesh.coordinate(rank, Axis.CP);
    return switch (name.charAt(0)) {
      case 'a', 'c' -> samples + 100 * mesh.coordinate(rank, Axis.TP);
      case 't' -> samples + 1000 * mesh.coordinate(rank, Axis.PP);
      default -> samples;
    };
  }

  private static double sumOver(Mesh mesh, int rank, String name) {
    Axis[] along =
        switch (name.charAt(0)) {
          case 'c' -> new Axis[] {Axis.TP, Axis.CP, Axis.DP};
          case 't' -> new Axis[] {Axis.CP, Axis.DP, Axis.PP};
          default -> new Axis[] {Axis.CP, Axis.DP};
        };
    ToDoubleFunction<Integer> contribution = holder -> contribution(mesh, holder, name);
    int last = mesh.size(Axis.PP) - 1;
    return mesh.group(rank, along).stream()
        .filter(
            holder ->
                name.charAt(0) != 't'
                    || mesh.coordinate(holder, Axis.PP) == 0
                    || mesh.coordinate(holder, Axis.PP) == last)
        .mapToDouble(contribution)
        .sum();
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,1,1,false", "1,1,1,3,false", "2,1,1,1,false", "2,1,1,2,false", "2,2,1,2,false",
    "1,1,2,1,false", "2,1,3,1,false", "2,1,2,2,false", "1,2,3,2,false", "1,1,1,3,true",
    "2,1,1,1,true", "2,1,1,2,true", "2,2,1,2,true", "1,1,2,1,true", "2,1,3,1,true",
    "2,1,2,2,true", "1,2,3,2,true"
  })
  void gradients_areSumsOverTheHolders_andCountOnce_andHoldersStayAlike(
      int tp, int cp, int pp, int dp, boolean divided) {
    Mesh mesh = mesh(tp, cp, pp, dp);
    // Names the stages as an interleaved schedule would: p of them a round.
    Map<String, List<Integer>> shared = Map.of("tied", List.of(0, 2 * pp - 1));
    Map<String, double[]> weights = new TreeMap<>();
    LocalWorld.run(
        mesh.rankCount(),
        world -> {
          try (CpuDevice device = CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE);
              MemoryScope scope = MemoryScope.open()) {
            int rank = world.rank();
            List<Parameter> parameters =
                parameters(new LocalLayers(device, DType.F64, 1), mesh, rank);
            ComponentOptimizer optimizer =
                new ComponentOptimizer(
                    world,
                    new Component("c", mesh),
                    parameters,
                    ComponentOptimizer.Options.of(AdamW.Settings.withDecay(0.1))
                        .withDivided(divided)
                        .withBucketBytes(40)
                        .withSharedStages(shared));
            optimizer.lastBackward(parameters);
            try (MemoryScope inside = MemoryScope.open()) {
              for (Parameter parameter : parameters) {
                sum(scale(parameter.tensor(), contribution(mesh, rank, parameter.name())))
                    .backward();
              }
            }
            optimizer.reduce();
            optimizer
                .adamW()
                .parts()
                .forEach(
                    part ->
                        assertThat(part.gradient().toDoubles())
                            .as("rank %d, %s", rank, part)
                            .containsOnly(sumOver(mesh, rank, part.parameter().name())));
            StepNumbers numbers = new StepNumbers(device, 1);
            optimizer.squares(numbers);
            numbers.sumSquares();
            double mine = numbers.control().toDoubles()[StepControl.SQUARES];
            double squares = world.allReduce(mine, ReduceOp.SUM);
            assertThat(squares).isCloseTo(expectedSquares(mesh), within(1e-9 * squares));
            optimizer.step(NDArray.of(device, DType.F64, Shape.of(4), 1, 0.1, 1, 1));
            synchronized (weights) {
              for (Parameter parameter : parameters) {
                String key =
                    parameter.name()
                        + (parameter.name().startsWith("a")
                            ? " of " + mesh.coordinate(rank, Axis.TP)
                            : "");
                double[] values = parameter.tensor().value().toDoubles();
                double[] others = weights.putIfAbsent(key, values);
                if (others != null) {
                  assertThat(values).as("rank %d, %s", rank, key).containsExactly(others);
                }
                // Its first step moves every element by the rate, beside the decay.
                assertThat(values).doesNotContain(1.0);
              }
            }
          }
        });
  }

  /** Each element of each distinct parameter once. */
  private static double expectedSquares(Mesh mesh) {
    Map<String, Double> squares = new TreeMap<>();
    for (int rank : mesh.ranks()) {
      int stage = mesh.coordinate(rank, Axis.PP);
      int tp = mesh.coordinate(rank, Axis.TP);
      square(squares, "a." + stage + "." + tp, tp + 2, sumOver(mesh, rank, "a"));
      square(squares, "b." + stage, 4, sumOver(mesh, rank, "b"));
      square(squares, "c." + stage, 5, sumOver(mesh, rank, "c"));
      if (stage == 0) {
        square(squares, "tied", 3, sumOver(mesh, rank, "tied"));
      }
    }
    return squares.values().stream().mapToDouble(Double::doubleValue).sum();
  }

  private static void square(Map<String, Double> squares, String name, int count, double value) {
    squares.put(name, count * value * value);
  }
}
