package dev.heddle.parallel.pipeline;

/**
 * One thing that a rank does in a training step. A step is a list of instructions for each rank,
 * built and checked before anything runs; see {@link Schedule}.
 */
public sealed interface Instruction {
  /** Which way a link is used. */
  enum Direction {
    /** Activations, towards the loss. */
    FORWARD,
    /** Gradients, away from the loss. */
    BACKWARD
  }

  /** An instruction of a component's stage on this rank's samples of a microbatch. */
  sealed interface Compute extends Instruction {
    /** The component's name. */
    String component();

    /** The pipeline stage of the component, from 0. */
    int stage();

    /** Which microbatch, from 0. */
    int microBatch();
  }

  /** An instruction that moves a microbatch's activations or gradients. */
  sealed interface Transport extends Instruction {
    /** The name of the link in the {@link PipelineGraph}, such as {@code vision -> language}. */
    String link();

    /** Which microbatch, from 0. */
    int microBatch();

    /** Activations or gradients. */
    Direction direction();
  }

  /** Runs a stage forward. */
  record Forward(String component, int stage, int microBatch) implements Compute {
    @Override
    public String toString() {
      return text("forward", this);
    }
  }

  /**
   * Walks a stage's graph back: gradients of its input, and of its parameters too unless {@link
   * WeightGradients} follows.
   *
   * @param inputsOnly whether the parameters' gradients are left for {@link WeightGradients}
   */
  record Backward(String component, int stage, int microBatch, boolean inputsOnly)
      implements Compute {
    @Override
    public String toString() {
      return text(inputsOnly ? "backward-inputs" : "backward", this);
    }
  }

  /** Computes the parameters' gradients that a backward has left. */
  record WeightGradients(String component, int stage, int microBatch) implements Compute {
    @Override
    public String toString() {
      return text("backward-weights", this);
    }
  }

  /** Sends what this rank has to send over a link; returns before it has arrived. */
  record Send(String link, int microBatch, Direction direction) implements Transport {
    @Override
    public String toString() {
      return text("send", this);
    }
  }

  /** Waits for what comes to this rank over a link. */
  record Receive(String link, int microBatch, Direction direction) implements Transport {
    @Override
    public String toString() {
      return text("receive", this);
    }
  }

  /**
   * Waits until all that this rank has sent of a microbatch has been taken, then gives back what
   * the microbatch holds. It stands where on paper every receiver has come to its receive, so that
   * what a rank holds at a time is known before anything runs.
   *
   * @param microBatch which microbatch, from 0
   */
  record Release(int microBatch) implements Instruction {
    @Override
    public String toString() {
      return "release(" + microBatch + ")";
    }
  }

  /**
   * Sums the component's gradients over the ranks that hold the same parameters.
   *
   * @param component the component's name
   */
  record ReduceGradients(String component) implements Instruction {
    @Override
    public String toString() {
      return "reduce-gradients(" + component + ")";
    }
  }

  /** Agrees on token count, loss and norm with all ranks, then updates the parameters. */
  record Step() implements Instruction {
    @Override
    public String toString() {
      return "step";
    }
  }

  private static String text(String verb, Compute compute) {
    return verb
        + "("
        + compute.component()
        + ":"
        + compute.stage()
        + ", "
        + compute.microBatch()
        + ")";
  }

  private static String text(String verb, Transport transport) {
    return verb
        + (transport.direction() == Direction.FORWARD ? "(" : "-gradient(")
        + transport.link()
        + ", "
        + transport.microBatch()
        + ")";
  }
}
