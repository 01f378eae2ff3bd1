package dev.heddle.parallel.pipeline;

/**
 * One thing that a rank does in a training step. A step is a list of instructions for each rank,
 * built and checked before anything runs; see {@link Schedule}.
 */
public sealed interface Instruction {
  /** Which way a boundary is crossed. */
  enum Direction {
    /** Activations, source to destination. */
    FORWARD,
    /** Gradients, destination to source. */
    BACKWARD
  }

  /**
   * Runs a component on this rank's samples of a microbatch.
   *
   * @param component the component's name
   * @param microBatch which microbatch, from 0
   */
  record Forward(String component, int microBatch) implements Instruction {
    @Override
    public String toString() {
      return "forward(" + component + ", " + microBatch + ")";
    }
  }

  /**
   * Walks the component's graph of a microbatch back and accumulates its parameters' gradients.
   *
   * @param component the component's name
   * @param microBatch which microbatch, from 0
   */
  record Backward(String component, int microBatch) implements Instruction {
    @Override
    public String toString() {
      return "backward(" + component + ", " + microBatch + ")";
    }
  }

  /**
   * Takes part in moving rows (or their gradients) across a boundary: one grouped exchange of all
   * ranks of either side.
   *
   * @param boundary the boundary's name, such as {@code vision -> language}
   * @param microBatch which microbatch, from 0
   * @param direction activations or gradients
   */
  record Exchange(String boundary, int microBatch, Direction direction) implements Instruction {
    @Override
    public String toString() {
      return (direction == Direction.FORWARD ? "exchange(" : "exchange-gradient(")
          + boundary
          + ", "
          + microBatch
          + ")";
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
}
