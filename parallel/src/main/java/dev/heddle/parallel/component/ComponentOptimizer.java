package dev.heddle.parallel.component;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.data.GradientReduction;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.NDArray;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The trained parameters of one component on one rank: how their gradients are summed over the
 * ranks that hold them too, which of them this rank counts in the norm, and how they are updated.
 */
public final class ComponentOptimizer {
  private final AdamW adamW;
  private final @Nullable GradientReduction reduction;

  /** Whether this rank's copy of what its DP and CP neighbours hold too is the one that counts. */
  private final boolean firstReplica;

  private final boolean firstTensorRank;

  /**
   * The optimizer of a component on this rank. All ranks of the component make it together, and in
   * the order of the graph's components; its memory belongs to the scope that is open.
   *
   * @param world all ranks of the run
   * @param component the component, which this rank is one of
   * @param parameters those of this rank's parameters that are trained
   * @param settings AdamW's
   */
  public ComponentOptimizer(
      Communicator world,
      Component component,
      List<Parameter> parameters,
      AdamW.Settings settings) {
    Mesh mesh = component.mesh();
    int rank = world.globalRank(world.rank());
    adamW = new AdamW(parameters, settings);
    reduction =
        world
            .subgroup(component.name() + ".replicas", mesh.group(rank, Axis.DP, Axis.CP))
            .filter(group -> group.size() > 1)
            .map(group -> new GradientReduction(group, parameters))
            .orElse(null);
    firstTensorRank = mesh.coordinate(rank, Axis.TP) == 0;
    firstReplica = mesh.coordinate(rank, Axis.DP) == 0 && mesh.coordinate(rank, Axis.CP) == 0;
  }

  /** The state and the count of steps, for checkpoints. */
  public AdamW adamW() {
    return adamW;
  }

  /** Sums the gradients over the ranks that hold the same parameters; they call it together. */
  void reduce() {
    if (reduction != null) {
      reduction.reduce();
    }
  }

  /**
   * This rank's part of the sum of the gradients' squares: over all ranks each parameter counts
   * once.
   */
  double squares() {
    if (!firstReplica) {
      return 0;
    }
    List<NDArray> counted = new ArrayList<>();
    for (Parameter parameter : adamW.parameters()) {
      NDArray gradient = parameter.tensor().gradient();
      if (gradient != null && (firstTensorRank || parameter.isSharded())) {
        counted.add(gradient);
      }
    }
    return counted.isEmpty() ? 0 : counted.getFirst().kernels().sumOfSquares(counted);
  }

  /** Updates the parameters, gradients being multiplied by {@code gradientScale} first. */
  void step(double learningRate, double gradientScale) {
    // No gradient on any rank is a gradient of zero, also where no reduction has made it one:
    // whether decay and moments go on must not depend on the layout.
    adamW.parameters().forEach(parameter -> parameter.tensor().gradientOrZeros());
    adamW.step(learningRate, gradientScale);
  }
}
