package dev.heddle.parallel.component;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Linear.linear;
import static dev.heddle.ops.Square.square;
import static dev.heddle.ops.Sum.sum;
import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.layout.Split;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Boundary;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A model of three components in a diamond: a's rows enter b and c, b's rows enter c, and c ends in
 * a loss. So one output leaves by two boundaries, and one component has two inputs; the rows of the
 * samples are of uneven number. Each component also owns a parameter that it does not use.
 */
final class Diamond {
  static final long FEATURES = 3;
  static final String A = "a";
  static final String B = "b";
  static final String C = "c";

  final Map<String, Mesh> meshes = new LinkedHashMap<>();
  int[] rowsOfSample = {2, 0, 1, 3};
  boolean trainsA = true;
  boolean gradientsToA = true;
  int steps = 4;

  /** Row counts of a step; differs from step to step. */
  int[] rows(int step) {
    int[] rows = rowsOfSample.clone();
    rows[step % rows.length] += step;
    return rows;
  }

  Diamond(Mesh a, Mesh b, Mesh c) {
    meshes.put(A, a);
    meshes.put(B, b);
    meshes.put(C, c);
  }

  static Mesh data(int first, int size) {
    return Mesh.onRanks(first, size).axis(Axis.DP, size).build();
  }

  static Mesh copies(int first, int size) {
    return Mesh.onRanks(first, size).axis(Axis.TP, size).build();
  }

  ModelGraph graph() {
    List<Component> components = new ArrayList<>();
    meshes.forEach((name, mesh) -> components.add(new Component(name, mesh)));
    return new ModelGraph(
        components, List.of(edge(A, B, gradientsToA), edge(A, C, gradientsToA), edge(B, C, true)));
  }

  private BoundarySpec edge(String source, String destination, boolean gradients) {
    return new BoundarySpec(
        source,
        destination,
        FEATURES,
        gradients,
        rows -> {
          RowCounts counts = rows.counts();
          Boundary boundary = new Boundary(layout(source, counts), layout(destination, counts));
          return (gradients ? boundary : boundary.withoutGradient()).plan(Strategy.DIRECT);
        });
  }

  private RowLayout layout(String component, RowCounts counts) {
    Layout.Builder layout = Layout.on(meshes.get(component));
    for (Axis axis : meshes.get(component).axes()) {
      if (axis == Axis.DP) {
        layout.shard(Axis.DP, RowLayout.SAMPLE_DIM);
      } else {
        layout.invariant(axis);
      }
    }
    return RowLayout.of(layout.build(), counts, FEATURES).build();
  }

  /** What a run came to: step results by rank, and the weights on rank 0. */
  record Result(Map<Integer, List<StepResult>> steps, Map<String, double[]> weights) {}

  Result run(int ranks) {
    Map<Integer, List<StepResult>> results = new TreeMap<>();
    Map<String, double[]> weights = new LinkedHashMap<>();
    LocalWorld.run(
        ranks,
        world -> {
          try (CpuDevice device = CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE);
              MemoryScope scope = MemoryScope.open()) {
            List<StepResult> mine = train(world, device, weights);
            synchronized (results) {
              results.put(world.rank(), mine);
            }
          }
        });
    return new Result(results, weights);
  }

  private List<StepResult> train(Communicator world, Device device, Map<String, double[]> weights) {
    ModelGraph graph = graph();
    Map<String, Program> programs = new LinkedHashMap<>();
    Map<String, List<Parameter>> global = new LinkedHashMap<>();
    Map<String, ComponentOptimizer> optimizers = new LinkedHashMap<>();
    meshes.forEach(
        (name, mesh) -> {
          Program program =
              new Program(name, mesh, world.rank(), new LocalLayers(device, DType.F64, 2));
          global.put(name, program.parameters());
          if (mesh.contains(world.rank())) {
            programs.put(name, program);
            boolean trained = trainsA || !name.equals(A);
            optimizers.put(
                name,
                new ComponentOptimizer(
                    world,
                    graph.component(name),
                    trained ? program.parameters() : List.of(),
                    ComponentOptimizer.Options.of(AdamW.Settings.withDecay(0.1))));
          }
        });
    ModelRunner runner =
        new ModelRunner(
            world,
            graph,
            graph.schedule(1),
            device,
            DType.F64,
            programs,
            optimizers,
            LossScaler.fixed(1));
    List<StepResult> results = new ArrayList<>();
    for (int step = 0; step < steps; step++) {
      int[] rows = rows(step);
      programs.values().forEach(program -> program.rows = rows);
      results.add(
          runner.step(
              (boundary, microBatch) -> RowPlacement.dense(RowCounts.perSample(rows)),
              new ModelRunner.Update(0.05, Double.POSITIVE_INFINITY)));
      for (Program program : programs.values()) {
        for (Parameter parameter : program.parameters()) {
          assertThat(parameter.tensor().gradient()).as("gradient after the step").isNull();
        }
      }
    }
    ParameterDirectory directory =
        new ParameterDirectory(world, graph, global, programs, optimizers);
    for (ParameterDirectory.Entry entry : directory.entries()) {
      NDArray whole = directory.gather(entry, device, DType.F64, p -> p.tensor().value());
      if (whole != null) {
        weights.put(entry.name(), whole.toDoubles());
      }
    }
    return results;
  }

  /** One component: rows in, a linear layer, rows or a loss out. */
  private static final class Program implements ComponentProgram {
    private final String name;
    private final Mesh mesh;
    private final int rank;
    private final Device device;
    private final Parameter weight;
    private final Parameter unused;
    private int[] rows = {};

    Program(String name, Mesh mesh, int rank, Layers layers) {
      this.name = name;
      this.mesh = mesh;
      this.rank = rank;
      this.device = layers.device();
      this.weight =
          layers.parameter(
              name + ".weight", Shape.of(FEATURES, FEATURES), new Initializer.Normal(0.7));
      this.unused = layers.parameter(name + ".unused", Shape.of(2, 2), new Initializer.Normal(0.7));
    }

    private Interval samples() {
      return Split.part(rows.length, mesh.size(Axis.DP), mesh.coordinate(rank, Axis.DP));
    }

    private int count(Interval samples) {
      int count = 0;
      for (long sample = samples.start(); sample < samples.end(); sample++) {
        count += rows[(int) sample];
      }
      return count;
    }

    @Override
    public @Nullable Tensor forward(int microBatch, Map<String, Tensor> incoming) {
      if (count(samples()) == 0) {
        return null;
      }
      Tensor x = null;
      for (Tensor part : incoming.values()) {
        x = x == null ? part : add(x, part);
      }
      Tensor input = x == null ? Tensor.constant(input()) : x;
      if (!name.equals(C)) {
        return linear(input, weight.tensor(), null, UnaryOperation.GELU);
      }
      Tensor scores = linear(input, weight.tensor(), null, UnaryOperation.IDENTITY);
      return sum(square(scores));
    }

    /** The rows of this rank's samples: a function of the global row alone. */
    private NDArray input() {
      long first = count(new Interval(0, samples().start())) * FEATURES;
      double[] values = new double[(int) (count(samples()) * FEATURES)];
      for (int i = 0; i < values.length; i++) {
        values[i] = Math.sin(first + i + 1);
      }
      return NDArray.of(device, DType.F64, Shape.of(values.length / FEATURES, FEATURES), values);
    }

    @Override
    public List<Parameter> parameters() {
      return List.of(weight, unused);
    }

    @Override
    public long validTokens() {
      return name.equals(C) ? count(samples()) : 0;
    }
  }
}
