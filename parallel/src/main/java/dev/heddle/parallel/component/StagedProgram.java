package dev.heddle.parallel.component;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A component's program that is cut into pipeline stages, numbered through over all ranks. This
 * rank runs some of them: with p pipeline ranks the stages whose number modulo p is the rank's
 * coordinate.
 */
public interface StagedProgram extends ComponentProgram {
  /**
   * Runs one stage on this rank's samples of a microbatch; see {@link ComponentProgram#forward}.
   *
   * @param stage a stage of this rank
   * @param incoming for each boundary into this component its rows; empty behind the first stage
   * @param previous what the stage before handed on, of {@link #inputShape}; null for the first
   *     stage
   * @return for the last stage the component's output, for others what the next stage takes in;
   *     null if this rank has no sample in the microbatch
   */
  @Nullable Tensor forward(
      int stage, int microBatch, Map<String, Tensor> incoming, @Nullable Tensor previous);

  /**
   * The shape of what the stage before hands on to {@code stage} for a microbatch: known from the
   * staged samples alone. Null if this rank has no sample in the microbatch, and for the first
   * stage.
   */
  @Nullable Shape inputShape(int stage, int microBatch);

  /**
   * Parameters that several stages hold, such as word vectors that also score words: by name, the
   * stages that hold each, ascending. Every rank of the component gives the same answer, whichever
   * stages it runs. Each holder computes its own contribution to the gradient: they are summed over
   * the ranks of these stages before the update, and the first of them is the one that counts in
   * the norm and in checkpoints. A rank that runs several of the stages holds the parameter once.
   */
  default Map<String, List<Integer>> sharedParameters() {
    return Map.of();
  }

  @Override
  default @Nullable Tensor forward(int microBatch, Map<String, Tensor> incoming) {
    return forward(0, microBatch, incoming, null);
  }
}
