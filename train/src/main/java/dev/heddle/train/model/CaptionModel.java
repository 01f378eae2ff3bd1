package dev.heddle.train.model;

import dev.heddle.autograd.GradientMode;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.component.BoundarySpec;
import dev.heddle.parallel.component.Component;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Boundary;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.parallel.tensor.TensorParallelLayers;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The captioning model as a graph of two components, vision (with the projector) and language, and
 * what a rank runs of it.
 */
public final class CaptionModel {
  /** The name of the vision component. */
  public static final String VISION = "vision";

  /** The name of the language component. */
  public static final String LANGUAGE = "language";

  /** The name of the boundary between them. */
  public static final String BOUNDARY = VISION + " -> " + LANGUAGE;

  private CaptionModel() {}

  /** The components on their meshes and the boundary between them. */
  public static ModelGraph graph(ModelConfig model, ParallelConfig parallel, Strategy strategy) {
    Component vision = new Component(VISION, mesh(parallel.vision()));
    Component language = new Component(LANGUAGE, mesh(parallel.language()));
    long features = model.language().hiddenSize();
    return new ModelGraph(
        List.of(vision, language),
        List.of(
            new BoundarySpec(
                VISION,
                LANGUAGE,
                features,
                true,
                counts -> plan(vision.mesh(), language.mesh(), counts, features, strategy))));
  }

  /** The mesh of a placement: TP varies fastest, then CP, then PP, then DP. */
  public static Mesh mesh(ParallelConfig.Placement placement) {
    Mesh.Builder mesh = Mesh.onRanks(placement.ranks().ranks());
    declare(mesh, Axis.TP, placement.tp());
    declare(mesh, Axis.CP, placement.cp());
    declare(mesh, Axis.PP, placement.pp());
    declare(mesh, Axis.DP, placement.dp());
    return mesh.build();
  }

  /** An axis of size 1 is left out: that is what an axis that is not declared means. */
  private static void declare(Mesh.Builder mesh, Axis axis, int size) {
    if (size > 1) {
      mesh.axis(axis, size);
    }
  }

  private static BoundaryPlan plan(
      Mesh source, Mesh destination, RowCounts counts, long features, Strategy strategy) {
    return new Boundary(rows(source, counts, features), rows(destination, counts, features))
        .plan(strategy);
  }

  /** Samples divided over DP; the ranks of a TP group hold and use the rows identically. */
  private static RowLayout rows(Mesh mesh, RowCounts counts, long features) {
    Layout layout =
        Layout.on(mesh)
            .shard(Axis.DP, RowLayout.SAMPLE_DIM)
            .invariant(Axis.TP)
            .invariant(Axis.CP)
            .invariant(Axis.PP)
            .build();
    return RowLayout.of(layout, counts, features).build();
  }

  /** The row counts of a microbatch of {@code samples} pictures. */
  public static RowCounts rowCounts(ModelConfig model, int samples) {
    int[] rows = new int[samples];
    Arrays.fill(rows, model.vision().patchCount());
    return RowCounts.perSample(rows);
  }

  /**
   * The programs of the components that this rank runs. Parameters belong to the memory scope that
   * is open; those of frozen components are constants.
   */
  public static Map<String, ComponentProgram> programs(
      ModelConfig model,
      int vocabularySize,
      ModelGraph graph,
      Communicator world,
      Device device,
      DType dtype,
      long seed) {
    int rank = world.globalRank(world.rank());
    Map<String, ComponentProgram> programs = new LinkedHashMap<>();
    for (Component component : graph.components()) {
      Mesh mesh = component.mesh();
      if (!mesh.contains(rank)) {
        continue;
      }
      Layers layers = new LocalLayers(device, dtype, seed);
      if (mesh.size(Axis.TP) > 1) {
        Communicator group =
            world.subgroup(component.name() + ".tp", mesh.group(rank, Axis.TP)).orElseThrow();
        layers = new TensorParallelLayers(device, dtype, seed, group);
      }
      if (graph.frozen().contains(component.name())) {
        try (GradientMode off = GradientMode.noGrad()) {
          programs.put(component.name(), program(model, vocabularySize, component.name(), layers));
        }
      } else {
        programs.put(component.name(), program(model, vocabularySize, component.name(), layers));
      }
    }
    return programs;
  }

  /** The global parameters of each component, on whatever device holds them whole. */
  public static Map<String, List<Parameter>> globalParameters(
      ModelConfig model, int vocabularySize, ModelGraph graph, Device device, DType dtype) {
    Map<String, List<Parameter>> parameters = new LinkedHashMap<>();
    Layers layers = new LocalLayers(device, dtype, 0);
    for (Component component : graph.components()) {
      parameters.put(
          component.name(), program(model, vocabularySize, component.name(), layers).parameters());
    }
    return parameters;
  }

  private static ComponentProgram program(
      ModelConfig model, int vocabularySize, String component, Layers layers) {
    return switch (component) {
      case VISION ->
          new VisionProgram(
              new VisionEncoder(
                  layers,
                  model.vision(),
                  model.projector().hiddenSize(),
                  model.language().hiddenSize()),
              layers,
              model.vision().imageSize());
      case LANGUAGE ->
          new LanguageProgram(
              new LanguageModel(layers, model.language(), vocabularySize),
              layers,
              VISION,
              model.vision().patchCount());
      default -> throw new IllegalArgumentException("captioning model: no component " + component);
    };
  }
}
