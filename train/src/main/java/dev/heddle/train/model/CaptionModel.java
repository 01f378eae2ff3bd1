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
import dev.heddle.parallel.component.StagedProgram;
import dev.heddle.parallel.context.ContextParallelLayers;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Boundary;
import dev.heddle.parallel.tensor.TensorParallelLayers;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.dataset.Spectrogram;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The captioning model as a graph of components: vision, where the model hears also audio, each
 * with its projector, and language, which both enter; and what a rank runs of it.
 */
public final class CaptionModel {
  /** The name of the vision component. */
  public static final String VISION = "vision";

  /** The name of the audio component, which a model may be without. */
  public static final String AUDIO = "audio";

  /** The name of the language component. */
  public static final String LANGUAGE = "language";

  /** The name of the boundary from vision to language. */
  public static final String BOUNDARY = VISION + " -> " + LANGUAGE;

  private CaptionModel() {}

  /**
   * The components on their meshes and the boundaries between them.
   *
   * @param packed whether the sequences of a data lane stand one after the other
   * @param work what a microbatch holds, for the stages' costs
   */
  public static ModelGraph graph(
      ModelConfig model, ParallelConfig parallel, boolean packed, Workload work) {
    StageCosts costs = new StageCosts(model, work);
    Component language = component(LANGUAGE, model, parallel.language(), costs);
    long features = model.language().hiddenSize();
    List<Component> components = new ArrayList<>();
    List<BoundarySpec> boundaries = new ArrayList<>();
    for (String name : encoders(model)) {
      ParallelConfig.Placement placement = placement(parallel, name);
      Component encoder = component(name, model, placement, costs);
      components.add(encoder);
      boundaries.add(
          new BoundarySpec(
              name,
              LANGUAGE,
              features,
              true,
              rows ->
                  new Boundary(
                          leaving(encoder, placement, rows.counts(), features),
                          entering(language.mesh(), parallel.language(), rows, features, packed))
                      .plan(parallel.boundary())));
    }
    components.add(language);
    return new ModelGraph(components, boundaries);
  }

  /** The encoders, in the order in which their rows stand in a sequence. */
  public static List<String> encoders(ModelConfig model) {
    return model.audio() == null ? List.of(VISION) : List.of(VISION, AUDIO);
  }

  private static ParallelConfig.Placement placement(ParallelConfig parallel, String component) {
    return Objects.requireNonNull(parallel.placements().get(component), component);
  }

  private static Component component(
      String name, ModelConfig model, ParallelConfig.Placement placement, StageCosts costs) {
    Stages stages = Stages.of(blocks(model, name), placement, 0);
    return new Component(name, mesh(placement), costs.of(name, placement, stages));
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

  /**
   * Rows as they leave an encoder: from its last stage, samples divided over DP, the rows of each
   * sample over CP in zigzag and, with sequence parallelism, over TP. Pictures are lanes of equal
   * length; the clips of a lane are packed, and it is the lane that is divided.
   */
  private static RowLayout leaving(
      Component encoder, ParallelConfig.Placement placement, RowCounts counts, long features) {
    Mesh mesh = encoder.mesh();
    Layout.Builder layout =
        Layout.on(mesh.at(Axis.PP, mesh.size(Axis.PP) - 1))
            .shard(Axis.DP, RowLayout.SAMPLE_DIM)
            .zigzag(Axis.CP, RowLayout.POSITION_DIM);
    RowLayout.Builder leaving =
        RowLayout.of(overTensorRanks(layout, placement).build(), counts, features);
    return encoder.name().equals(AUDIO) ? leaving.packed().build() : leaving.build();
  }

  /**
   * Rows as they enter the language model: into its first stage, samples divided over DP. Where
   * positions are divided, over CP in zigzag and with sequence parallelism over TP, each rank gets
   * a place for each position that it holds.
   */
  private static RowLayout entering(
      Mesh mesh,
      ParallelConfig.Placement placement,
      RowPlacement rows,
      long features,
      boolean packed) {
    Layout.Builder layout =
        Layout.on(mesh.at(Axis.PP, 0))
            .shard(Axis.DP, RowLayout.SAMPLE_DIM)
            .zigzag(Axis.CP, RowLayout.POSITION_DIM);
    RowLayout.Builder entering =
        RowLayout.of(overTensorRanks(layout, placement).build(), rows, features);
    if (dividesPositions(placement)) {
      entering.inSequence();
      if (packed) {
        entering.packed();
      }
    }
    return entering.build();
  }

  private static Layout.Builder overTensorRanks(
      Layout.Builder layout, ParallelConfig.Placement placement) {
    return placement.division().sequenceParallel()
        ? layout.shard(Axis.TP, RowLayout.POSITION_DIM)
        : layout.invariant(Axis.TP);
  }

  /** Whether ranks of a component hold parts of a sequence between its layers. */
  static boolean dividesPositions(ParallelConfig.Placement placement) {
    return placement.cp() > 1 || (placement.division().sequenceParallel() && placement.tp() > 1);
  }

  /**
   * The rows of a microbatch that cross the boundary from an encoder: where they stand in the fused
   * sequences if the language model divides these, else only how many each sample has.
   */
  public static RowPlacement rows(ParallelConfig parallel, FusedBatch batch, String encoder) {
    return dividesPositions(parallel.language())
        ? batch.placement(encoder)
        : RowPlacement.dense(batch.counts(encoder));
  }

  /**
   * The programs of the components that this rank runs, each with its stages. Parameters belong to
   * the memory scope that is open; those of frozen components are constants.
   */
  public static Map<String, ComponentProgram> programs(
      ModelConfig model,
      ParallelConfig parallel,
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
      String name = component.name();
      ParallelConfig.Placement placement = placement(parallel, name);
      Layers layers = layers(component, placement, world, device, dtype, seed);
      Stages stages = Stages.of(blocks(model, name), placement, mesh.coordinate(rank, Axis.PP));
      boolean inPlace = dividesPositions(placement);
      if (graph.frozen().contains(name)) {
        try (GradientMode off = GradientMode.noGrad()) {
          programs.put(name, program(model, vocabularySize, name, layers, stages, inPlace));
        }
      } else {
        programs.put(name, program(model, vocabularySize, name, layers, stages, inPlace));
      }
    }
    return programs;
  }

  /** By name the stages of the parameters that several pipeline stages hold. */
  public static Map<String, List<Integer>> sharedStages(ComponentProgram program) {
    return program instanceof StagedProgram staged ? staged.sharedParameters() : Map.of();
  }

  /** Layers that the ranks of a component divide as its placement says. */
  private static Layers layers(
      Component component,
      ParallelConfig.Placement placement,
      Communicator world,
      Device device,
      DType dtype,
      long seed) {
    Mesh mesh = component.mesh();
    int rank = world.globalRank(world.rank());
    Layers layers = new LocalLayers(device, dtype, seed);
    if (mesh.size(Axis.TP) > 1) {
      layers =
          new TensorParallelLayers(
              device,
              dtype,
              seed,
              group(world, component.name() + ".tp", mesh.group(rank, Axis.TP)),
              placement.division().sequenceParallel());
    }
    if (mesh.size(Axis.CP) > 1) {
      layers =
          new ContextParallelLayers(
              layers,
              group(world, component.name() + ".cp", mesh.group(rank, Axis.CP)),
              placement.division().cpMethod());
    }
    return layers;
  }

  private static Communicator group(Communicator world, String name, List<Integer> members) {
    return world.subgroup(name, members).orElseThrow();
  }

  /** The global parameters of each component, on whatever device holds them whole. */
  public static Map<String, List<Parameter>> globalParameters(
      ModelConfig model, int vocabularySize, ModelGraph graph, Device device, DType dtype) {
    Map<String, List<Parameter>> parameters = new LinkedHashMap<>();
    Layers layers = new LocalLayers(device, dtype, 0);
    for (Component component : graph.components()) {
      String name = component.name();
      Stages whole = Stages.whole(blocks(model, name));
      parameters.put(name, program(model, vocabularySize, name, layers, whole, false).parameters());
    }
    return parameters;
  }

  /** How many transformer blocks a component has. */
  public static int blocks(ModelConfig model, String component) {
    return switch (component) {
      case VISION -> model.vision().layers();
      case AUDIO -> audio(model).layers();
      default -> model.language().layers();
    };
  }

  private static ModelConfig.Audio audio(ModelConfig model) {
    return Objects.requireNonNull(model.audio(), "captioning model: no section model.audio");
  }

  private static ComponentProgram program(
      ModelConfig model,
      int vocabularySize,
      String component,
      Layers layers,
      Stages stages,
      boolean rowsInPlace) {
    return switch (component) {
      case VISION ->
          new VisionProgram(
              new VisionEncoder(
                  layers,
                  model.vision(),
                  model.projector().hiddenSize(),
                  model.language().hiddenSize(),
                  stages),
              layers,
              model.vision());
      case AUDIO ->
          new AudioProgram(
              new AudioEncoder(
                  layers,
                  audio(model),
                  Spectrogram.BANDS,
                  model.projector().hiddenSize(),
                  model.language().hiddenSize(),
                  stages),
              layers,
              audio(model).framesPerRow() * Spectrogram.BANDS);
      case LANGUAGE ->
          new LanguageProgram(
              new LanguageModel(layers, model.language(), vocabularySize, stages),
              layers,
              model.language().tiedEmbeddings(),
              rowsInPlace);
      default -> throw new IllegalArgumentException("captioning model: no component " + component);
    };
  }
}
