package dev.heddle.parallel.data;

import dev.heddle.nn.Parameter;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.ReduceOp;
import java.util.ArrayList;
import java.util.List;

/**
 * Sums a component's gradients over the ranks that hold the same parameters and saw other samples.
 * A sum, never a mean: the one scale 1/N is applied by the optimizer (see {@code
 * dev.heddle.parallel.component}). A rank that saw no sample contributes zeros.
 */
public final class GradientReduction {
  private final Communicator replicas;
  private final List<Parameter> parameters;
  private final List<Handle> open = new ArrayList<>();

  /**
   * A reduction over {@code replicas}.
   *
   * @param parameters this rank's parameters, in the same order on every replica
   */
  public GradientReduction(Communicator replicas, List<Parameter> parameters) {
    this.replicas = replicas;
    this.parameters = List.copyOf(parameters);
  }

  /** Makes every replica's gradients the sum of all; posts all of them, then waits. */
  public void reduce() {
    for (Parameter parameter : parameters) {
      open.add(replicas.allReduce(parameter.tensor().gradientOrZeros(), ReduceOp.SUM));
    }
    open.forEach(Handle::await);
    open.clear();
  }
}
