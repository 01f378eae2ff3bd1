package dev.heddle.parallel.component;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.optim.ParameterPart;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.data.GradientReduction;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.StepControl;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The trained parameters of one component on one rank: how their gradients are summed over the
 * ranks that hold them too, which of them this rank counts in the norm, and how they are updated.
 *
 * <p>A parameter's holders are the ranks of the component that have the same values of it and see
 * other samples or positions: those with the same TP and PP coordinate, any DP and CP. If its
 * gradient is partial over TP ({@link Parameter#partialGradient()}) any TP coordinate too; if
 * pipeline stages share it, any stage that does. One sum over the holders makes the gradient whole.
 */
public final class ComponentOptimizer {
  /**
   * How a component is updated; the same on all its ranks.
   *
   * @param adamW AdamW's settings
   * @param divided whether the holders of a parameter divide its update and the optimizer's state
   *     (ZeRO-1) instead of each doing all of it
   * @param bucketBytes see {@link GradientReduction#BUCKET_BYTES}
   * @param sharedStages by parameter name the pipeline stages, numbered as in {@link
   *     StagedProgram}, of parameters that several stages hold
   */
  public record Options(
      AdamW.Settings adamW,
      boolean divided,
      long bucketBytes,
      Map<String, List<Integer>> sharedStages) {
    /** Takes a copy. */
    public Options {
      sharedStages = Map.copyOf(sharedStages);
    }

    /** Every holder updates its copy; no parameter is in two stages. */
    public static Options of(AdamW.Settings adamW) {
      return new Options(adamW, false, GradientReduction.BUCKET_BYTES, Map.of());
    }

    /** The same with the optimizer divided or not. */
    public Options withDivided(boolean choice) {
      return new Options(adamW, choice, bucketBytes, sharedStages);
    }

    /** The same with buckets of another size. */
    public Options withBucketBytes(long bytes) {
      return new Options(adamW, divided, bytes, sharedStages);
    }

    /** The same with parameters that several stages hold. */
    public Options withSharedStages(Map<String, List<Integer>> stages) {
      return new Options(adamW, divided, bucketBytes, stages);
    }
  }

  private final AdamW adamW;
  private final List<Parameter> parameters;
  private final List<GradientReduction> reductions = new ArrayList<>();

  /** What this rank contributes to the norm. */
  private final List<ParameterPart> counted = new ArrayList<>();

  /**
   * The optimizer of a component on this rank. All ranks of the component make it together, and in
   * the order of the graph's components; its memory belongs to the scope that is open.
   *
   * @param world all ranks of the run
   * @param component the component, which this rank is one of
   * @param parameters those of this rank's parameters that are trained, in an order that is the
   *     same on all ranks of a stage
   */
  public ComponentOptimizer(
      Communicator world, Component component, List<Parameter> parameters, Options options) {
    this.parameters = List.copyOf(parameters);
    Mesh mesh = component.mesh();
    int rank = world.globalRank(world.rank());
    boolean firstTensorRank = mesh.coordinate(rank, Axis.TP) == 0;
    List<ParameterPart> updated = new ArrayList<>();
    byHolders(mesh, rank, options.sharedStages())
        .forEach(
            (holders, held) -> {
              List<ParameterPart> mine = held.stream().map(ParameterPart::whole).toList();
              if (holders.size() > 1) {
                Communicator group =
                    world.subgroup(component.name() + ".replicas", holders).orElseThrow();
                GradientReduction reduction =
                    new GradientReduction(group, held, options.bucketBytes(), options.divided());
                reductions.add(reduction);
                mine = options.divided() ? reduction.parts() : mine;
              }
              updated.addAll(mine);
              if (options.divided() || holders.getFirst() == rank) {
                mine.stream()
                    .filter(part -> firstTensorRank || isCountedOnEachTensorRank(part.parameter()))
                    .forEach(counted::add);
              }
            });
    adamW = AdamW.ofParts(inOrder(updated), options.adamW());
  }

  /** What TP ranks hold parts of, or divide as holders, is not a copy on any of them. */
  private static boolean isCountedOnEachTensorRank(Parameter parameter) {
    return parameter.isSharded() || parameter.partialGradient();
  }

  /** Parameters by the ranks that hold them, in an order that is the same on all of these. */
  private Map<List<Integer>, List<Parameter>> byHolders(
      Mesh mesh, int rank, Map<String, List<Integer>> sharedStages) {
    Map<List<Integer>, List<Parameter>> groups =
        new TreeMap<>(
            Comparator.<List<Integer>>comparingInt(List::size).thenComparing(List::toString));
    List<Parameter> shared = new ArrayList<>();
    // Most parameters have the same holders, and these may be thousands: found and compared once.
    Map<Boolean, List<Parameter>> ofStage = new HashMap<>();
    for (Parameter parameter : parameters) {
      if (sharedStages.containsKey(parameter.name())) {
        shared.add(parameter);
      } else {
        ofStage
            .computeIfAbsent(
                parameter.partialGradient(),
                partial ->
                    groups.computeIfAbsent(
                        holders(mesh, rank, parameter, List.of()), holders -> new ArrayList<>()))
            .add(parameter);
      }
    }
    // Stages may have them in different orders, and before or behind others.
    shared.sort(Comparator.comparing(Parameter::name));
    for (Parameter parameter : shared) {
      List<Integer> stages = sharedStages.getOrDefault(parameter.name(), List.of());
      groups
          .computeIfAbsent(holders(mesh, rank, parameter, stages), holders -> new ArrayList<>())
          .add(parameter);
    }
    return groups;
  }

  private static List<Integer> holders(
      Mesh mesh, int rank, Parameter parameter, List<Integer> stages) {
    Set<Integer> coordinates = new HashSet<>();
    coordinates.add(mesh.coordinate(rank, Axis.PP));
    stages.forEach(stage -> coordinates.add(stage % mesh.size(Axis.PP)));
    List<Integer> all =
        parameter.partialGradient()
            ? mesh.group(rank, Axis.TP, Axis.CP, Axis.DP, Axis.PP)
            : mesh.group(rank, Axis.CP, Axis.DP, Axis.PP);
    return all.stream()
        .filter(holder -> coordinates.contains(mesh.coordinate(holder, Axis.PP)))
        .toList();
  }

  private List<ParameterPart> inOrder(List<ParameterPart> parts) {
    Map<String, ParameterPart> byName = new HashMap<>();
    parts.forEach(part -> byName.put(part.parameter().name(), part));
    return parameters.stream().map(parameter -> byName.get(parameter.name())).toList();
  }

  /** The state and the count of steps, for checkpoints. */
  public AdamW adamW() {
    return adamW;
  }

  /** This rank's trained parameters, also those that other ranks update. */
  public List<Parameter> parameters() {
    return parameters;
  }

  /**
   * Says that the backward pass to come is the step's last one to reach {@code reached}, so that
   * their gradients may be sent as soon as they are complete.
   */
  void lastBackward(Collection<Parameter> reached) {
    reductions.forEach(reduction -> reduction.lastBackward(reached));
  }

  /** Sums the gradients over the ranks that hold the same parameters; they call it together. */
  void reduce() {
    reductions.forEach(GradientReduction::reduce);
  }

  /**
   * Hands over this rank's part of the gradients' squares: over all ranks each parameter counts
   * once.
   */
  void squares(StepNumbers numbers) {
    List<NDArray> gradients = new ArrayList<>();
    for (ParameterPart part : counted) {
      NDArray gradient = part.gradient();
      if (gradient != null && part.size() > 0) {
        gradients.add(gradient);
      }
    }
    if (!gradients.isEmpty()) {
      numbers.squares(gradients);
    }
  }

  /**
   * Updates the parameters.
   *
   * @param update on the device, see {@link StepControl}
   */
  void step(NDArray update) {
    // Where the host can look without waiting, a step that is skipped communicates nothing either.
    boolean atHand = !update.device().isAsynchronous();
    if (atHand && update.toDoubles()[StepControl.GO] == 0) {
      return;
    }
    // No gradient on any rank is a gradient of zero, also where no reduction has made it one:
    // whether decay and moments go on must not depend on the layout.
    parameters.forEach(parameter -> parameter.tensor().gradientOrZeros());
    adamW.step(update);
    // On a device that computes on its own also where nothing was updated: the host does not know.
    reductions.forEach(GradientReduction::gatherWeights);
  }
}
