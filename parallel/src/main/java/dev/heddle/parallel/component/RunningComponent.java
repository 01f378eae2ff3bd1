package dev.heddle.parallel.component;

import dev.heddle.autograd.DeferredGradients;
import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A component on one rank during a step: its program, and the microbatches under way in it. */
final class RunningComponent {
  private final Component component;
  private final ComponentProgram program;
  private final boolean hasBackward;
  private final boolean endsInLoss;
  private final boolean countsTokens;
  private final boolean firstTensorRank;

  /** A stage's work on a microbatch. */
  record Work(int stage, int microBatch) {}

  /** Outputs of what has gone forward and not yet back. */
  private final Map<Work, Tensor> outputs = new HashMap<>();

  /** Gradients of these outputs that links have brought back. */
  private final Map<Work, NDArray> outputGradients = new HashMap<>();

  /** What came into what has gone forward: the gradients that others wait for. */
  private final Map<Work, List<Tensor>> leaves = new HashMap<>();

  /** Parameters' gradients that a backward has left. */
  private final Map<Work, DeferredGradients> deferred = new HashMap<>();

  /** What the stage before has handed on: leaves of this stage's graph. */
  private final Map<Work, Tensor> handedOn = new HashMap<>();

  /**
   * The component on rank {@code rank}.
   *
   * @param hasBackward whether gradients flow back through it
   * @param endsInLoss whether it is the last of its graph
   */
  RunningComponent(
      Component component,
      ComponentProgram program,
      int rank,
      boolean hasBackward,
      boolean endsInLoss) {
    this.component = component;
    this.program = program;
    this.hasBackward = hasBackward;
    this.endsInLoss = endsInLoss;
    this.firstTensorRank = component.mesh().coordinate(rank, Axis.TP) == 0;
    int pipelineRanks = component.mesh().size(Axis.PP);
    this.countsTokens =
        endsInLoss
            && firstTensorRank
            && component.mesh().coordinate(rank, Axis.PP) == lastStage() % pipelineRanks;
    if (component.stages().size() > 1 && !(program instanceof StagedProgram)) {
      throw new IllegalArgumentException(
          "model runner: component "
              + component.name()
              + " has "
              + component.stages().size()
              + " stages, but its program is not cut into stages; implement StagedProgram");
    }
  }

  String name() {
    return component.name();
  }

  int lastStage() {
    return component.stages().size() - 1;
  }

  boolean hasBackward() {
    return hasBackward;
  }

  /** Valid tokens of this rank that no other rank counts. */
  long validTokens() {
    return countsTokens ? program.validTokens() : 0;
  }

  /**
   * Runs a stage forward.
   *
   * @param incoming rows that boundaries have brought, by source
   * @return the output, or null if this rank has no sample in the microbatch
   */
  @Nullable Tensor forward(Work work, Map<String, Tensor> incoming) {
    Tensor output;
    if (hasBackward) {
      output = run(work, incoming);
    } else {
      try (GradientMode off = GradientMode.noGrad()) {
        output = run(work, incoming);
      }
    }
    if (output != null) {
      outputs.put(work, output);
      List<Tensor> came = new ArrayList<>(incoming.values());
      Tensor previous = handedOn.get(work);
      if (previous != null) {
        came.add(previous);
      }
      came.removeIf(leaf -> !leaf.requiresGradient());
      leaves.put(work, came);
    }
    return output;
  }

  private @Nullable Tensor run(Work work, Map<String, Tensor> incoming) {
    return program instanceof StagedProgram staged
        ? staged.forward(work.stage(), work.microBatch(), incoming, handedOn.get(work))
        : program.forward(work.microBatch(), incoming);
  }

  /** Whether a stage's output is a loss that this rank is the one to report. */
  boolean reportsLoss(int stage) {
    return isLoss(stage) && firstTensorRank;
  }

  /** Whether a stage's output is a loss. */
  boolean isLoss(int stage) {
    return endsInLoss && stage == lastStage();
  }

  @Nullable Tensor output(Work work) {
    return outputs.get(work);
  }

  /** Forgets an output that nothing more is asked of, and returns it. */
  @Nullable Tensor takeOutput(Work work) {
    return outputs.remove(work);
  }

  /** What came into a stage and gets a gradient; asked for once. */
  List<Tensor> takeLeaves(Work work) {
    List<Tensor> came = leaves.remove(work);
    return came == null ? List.of() : came;
  }

  void defer(Work work, DeferredGradients gradients) {
    deferred.put(work, gradients);
  }

  void runDeferred(Work work) {
    DeferredGradients gradients = deferred.remove(work);
    if (gradients != null) {
      gradients.run();
    }
  }

  /** All parameters that this rank holds of the component. */
  List<Parameter> parameters() {
    return program.parameters();
  }

  @Nullable NDArray takeOutputGradient(Work work) {
    return outputGradients.remove(work);
  }

  /** An output that leaves by several links gets the sum of their gradients. */
  void addOutputGradient(Work work, NDArray gradient, MicroBatchMemory memory) {
    NDArray before = outputGradients.putIfAbsent(work, gradient);
    if (before != null) {
      // What came may still be on its way to other ranks, so it is left as it is.
      NDArray sum = memory.hold(work.microBatch(), before.copy());
      sum.kernels().addScaled(gradient, 1, sum);
      outputGradients.put(work, sum);
    }
  }

  /** The shape of what a stage takes in from the one before, or null if there is no sample. */
  @Nullable Shape inputShape(Work work) {
    return program instanceof StagedProgram staged
        ? staged.inputShape(work.stage(), work.microBatch())
        : null;
  }

  void handOn(Work work, NDArray value) {
    handedOn.put(work, hasBackward ? Tensor.leaf(value) : Tensor.constant(value));
  }

  @Nullable Tensor takeHandedOn(Work work) {
    return handedOn.remove(work);
  }

  /** Forgets the outputs of a microbatch that is done. */
  void forget(int microBatch) {
    outputs.keySet().removeIf(work -> work.microBatch() == microBatch);
    leaves.keySet().removeIf(work -> work.microBatch() == microBatch);
  }

  /** Forgets what a step that ended early has left. */
  void clear() {
    outputs.clear();
    leaves.clear();
    deferred.clear();
    outputGradients.clear();
    handedOn.clear();
  }
}
