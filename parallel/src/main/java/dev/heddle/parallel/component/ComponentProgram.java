package dev.heddle.parallel.component;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What one rank computes of a component: written against the layers it was given, so it is the same
 * code under every layout. The caller stages the step's samples in the program before {@link
 * ModelRunner#step()}; the runner then asks for the microbatches.
 */
public interface ComponentProgram {
  /**
   * Runs this rank's samples of a microbatch. What is made meanwhile is given back when it is no
   * longer needed: at the end of the call, or by the backward if the graph saved it; the result
   * when the microbatch is done. So a program keeps no arrays from one call to the next.
   *
   * @param incoming for each boundary into this component, by the source's name, this rank's rows
   *     [rows, features]: a leaf whose gradient goes back across the boundary
   * @return the rows [rows, features] that leave through the boundaries, in the order of the
   *     component's row layout, or for the last component the sum of the losses of the valid tokens
   *     (one element); null if this rank has no sample in the microbatch
   */
  @Nullable Tensor forward(int microBatch, Map<String, Tensor> incoming);

  /** The component's parameters that this rank holds, in an order that is the same on all ranks. */
  List<Parameter> parameters();

  /**
   * Prepares for steps that are recorded and repeated (see {@link StepRecorder}): from now on what
   * is staged is written to arrays that stay where they are, by {@link StagedArray}.
   *
   * @return whether this program can be recorded; one that says nothing of it cannot
   */
  default boolean fixInputs() {
    return false;
  }

  /**
   * What the work of the staged step depends on beside the values of staged arrays: shapes, and
   * indices that are worked out on the host. Equal objects mean that what was recorded for the one
   * step does for the other.
   */
  default Object shapeOfStep() {
    throw new UnsupportedOperationException("this program cannot be recorded");
  }

  /** How many tokens of the staged samples of this rank count in the loss; 0 except at the end. */
  default long validTokens() {
    return 0;
  }
}
