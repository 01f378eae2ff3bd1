package dev.heddle.parallel.component;

import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import java.util.function.Function;

/**
 * An edge of the component graph: the output rows of one component enter another.
 *
 * @param source the component that the rows come from
 * @param destination the component that they enter
 * @param features the width of a row
 * @param gradients whether gradients come back; not for a frozen source
 * @param plan the transfers for the rows of a microbatch: how many each sample has and, where the
 *     destination divides sequences, where they stand in them; plans are kept and reused for equal
 *     rows
 */
public record BoundarySpec(
    String source,
    String destination,
    long features,
    boolean gradients,
    Function<RowPlacement, BoundaryPlan> plan) {
  /** For example {@code vision -> language}. */
  public String name() {
    return source + " -> " + destination;
  }
}
