package dev.heddle.parallel.layout;

/**
 * How one mesh axis holds a tensor. The type of the gradient is a function of it: {@link #dual()}.
 *
 * <table>
 *   <caption>The types</caption>
 *   <tr><th>type</th><th>meaning along the axis</th><th>type of its gradient</th></tr>
 *   <tr><td>Replicate</td><td>same bytes on each rank, each uses them on its own</td><td>Partial</td></tr>
 *   <tr><td>Invariant</td><td>same bytes, all use them identically</td><td>Invariant</td></tr>
 *   <tr><td>Shard(dim)</td><td>each holds its part of dim</td><td>Shard(dim)</td></tr>
 *   <tr><td>Varying</td><td>each holds its own, unrelated</td><td>Varying</td></tr>
 *   <tr><td>Partial</td><td>the value is the sum over the axis</td><td>Replicate</td></tr>
 * </table>
 *
 * <p>Replicate and Invariant hold the same bytes and differ only in what happens to the gradient;
 * merging them is how gradients silently come out too small or too large. The distinction is that
 * of spmd_types (types R, I, V, P; a shard is a V whose parts are known).
 */
public sealed interface AxisType {
  // Functions and not constants: an interface that makes its own implementations while it is being
  // initialised can deadlock ranks that start together.

  /** The same bytes on each rank, each using them on its own. */
  static AxisType replicate() {
    return new Replicate();
  }

  /** The same bytes on each rank, all using them identically. */
  static AxisType invariant() {
    return new Invariant();
  }

  /** Each rank holds its own, unrelated. */
  static AxisType varying() {
    return new Varying();
  }

  /** The value is the sum over the axis. */
  static AxisType partial() {
    return new Partial();
  }

  /** Each rank holds its part of a tensor dimension. */
  static AxisType shard(int dim) {
    return new Shard(dim);
  }

  /** The type of the gradient of a value of this type; its own inverse. */
  default AxisType dual() {
    return switch (this) {
      case Replicate unused -> partial();
      case Partial unused -> replicate();
      case Invariant unused -> this;
      case Shard unused -> this;
      case Varying unused -> this;
    };
  }

  /** Same bytes on each rank; each rank uses them on its own, so gradients add up. */
  record Replicate() implements AxisType {
    @Override
    public String toString() {
      return "Replicate";
    }
  }

  /** Same bytes on each rank; all ranks use them identically, so gradients are copies. */
  record Invariant() implements AxisType {
    @Override
    public String toString() {
      return "Invariant";
    }
  }

  /**
   * Each rank holds its part of a tensor dimension; parts may differ in size.
   *
   * @param dim the tensor dimension, from 0
   */
  record Shard(int dim) implements AxisType {
    /** Refuses a negative dim. */
    public Shard {
      if (dim < 0) {
        throw new IllegalArgumentException(
            "axis type: got Shard("
                + dim
                + "), wanted a dim of 0 or more; count dims from the front");
      }
    }

    @Override
    public String toString() {
      return "Shard(" + dim + ")";
    }
  }

  /** Each rank holds its own value, unrelated to the others'. */
  record Varying() implements AxisType {
    @Override
    public String toString() {
      return "Varying";
    }
  }

  /** Each rank holds a summand; the value is the sum over the axis. */
  record Partial() implements AxisType {
    @Override
    public String toString() {
      return "Partial";
    }
  }
}
