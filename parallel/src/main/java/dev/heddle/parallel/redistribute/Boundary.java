package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.AxisType;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.mesh.Axis;
import java.util.Optional;

/**
 * Where the output of one component enters another: the linear map A that takes a value from the
 * source layout to the destination layout.
 *
 * <h2>What A and its transpose are</h2>
 *
 * <p>Let v be the value itself, one number for each (row, feature). On the ranks of a layout it is
 * stored with copies or as summands: an axis that is Invariant or Replicate holds copies of v, a
 * Partial axis summands whose sum is v. A is the identity on v; all it changes is the storage.
 *
 * <p>The inner product that makes "transpose" precise counts each element once along an Invariant
 * axis and once a rank along a Replicate or Partial axis: &lt;a, g&gt; is the sum, over the rows
 * and features of v and over the coordinates along Replicate and Partial axes, of a * g at any one
 * of the ranks that differ only along Invariant axes (they hold the same a and the same g). With a
 * value in the source layout, a gradient in the destination's gradient layout, and these products,
 * &lt;A x, y&gt; = &lt;x, A^T y&gt;, where
 *
 * <ul>
 *   <li>along an <em>Invariant destination</em> axis every rank holds the same complete gradient:
 *       one of them is picked for each element, and the picks are spread evenly over the ranks that
 *       are not themselves receivers;
 *   <li>along a <em>Replicate destination</em> axis each rank holds a summand (the gradient's type
 *       is Partial): the summands are added, in the order of the ranks' coordinates;
 *   <li>along an <em>Invariant source</em> axis each rank receives the complete gradient;
 *   <li>along a <em>Partial source</em> axis the value is the sum over its ranks, forward adds it
 *       up while moving it, and each rank receives the complete gradient.
 * </ul>
 *
 * <p>All four are the forward rules of the boundary {@link #transpose()}, whose source is the
 * destination's gradient layout and whose destination is the source's.
 *
 * @param source who holds the value before; no axis Replicate, as its gradient would be left as
 *     summands
 * @param destination who needs it afterwards; no axis Partial
 * @param sourceNeedsGradient false when the source component is frozen; then no gradient is sent
 */
public record Boundary(RowLayout source, RowLayout destination, boolean sourceNeedsGradient) {
  /** Checks that both sides speak of the same rows and features, and the axis types. */
  public Boundary {
    checkCounts(source.counts(), destination.counts());
    if (source.featureCount() != destination.featureCount()) {
      throw new IllegalArgumentException(
          "boundary: source has "
              + source.featureCount()
              + " features, destination "
              + destination.featureCount()
              + "; project to the destination's width before the boundary");
    }
    refuse(
        source,
        AxisType.replicate(),
        "source",
        "make it Invariant (each rank then gets the complete gradient) or Partial");
    refuse(
        destination,
        AxisType.partial(),
        "destination",
        "make it Replicate (gradients are summed) or Invariant (gradients are equal)");
  }

  /** A boundary that sends gradients back. */
  public Boundary(RowLayout source, RowLayout destination) {
    this(source, destination, true);
  }

  /** This boundary for a frozen source component: nothing is sent back. */
  public Boundary withoutGradient() {
    return new Boundary(source, destination, false);
  }

  /** The map of gradients, from the destination's gradient layout to the source's. */
  public Boundary transpose() {
    return new Boundary(destination.gradient(), source.gradient(), true);
  }

  /** Plans both directions with all ranks on one host. */
  public BoundaryPlan plan(Strategy strategy) {
    return plan(strategy, Hosts.single());
  }

  /**
   * Plans both directions. Every rank that calls this with equal arguments gets the same plan.
   *
   * @throws IllegalArgumentException when a row that a destination rank needs is held by no source
   *     rank
   */
  public BoundaryPlan plan(Strategy strategy, Hosts hosts) {
    TransferPlan forward = planOneWay("forward", strategy, hosts);
    Optional<TransferPlan> backward =
        sourceNeedsGradient
            ? Optional.of(transpose().planOneWay("backward", strategy, hosts))
            : Optional.empty();
    return new BoundaryPlan(this, forward, backward);
  }

  private TransferPlan planOneWay(String direction, Strategy strategy, Hosts hosts) {
    return new StrategyPlanner(source.holdings(), destination.holdings(), hosts)
        .plan(direction, strategy, source.counts());
  }

  private static void checkCounts(RowCounts source, RowCounts destination) {
    if (source.equals(destination)) {
      return;
    }
    int samples = Math.min(source.sampleCount(), destination.sampleCount());
    for (int sample = 0; sample < samples; sample++) {
      long left = source.rowsOfSample(sample).size();
      long right = destination.rowsOfSample(sample).size();
      if (left != right || source.itemCount(sample) != destination.itemCount(sample)) {
        throw new IllegalArgumentException(
            "boundary: sample "
                + sample
                + " has "
                + left
                + " rows in "
                + source.itemCount(sample)
                + " items at the source and "
                + right
                + " in "
                + destination.itemCount(sample)
                + " at the destination; give both sides the same row counts");
      }
    }
    throw new IllegalArgumentException(
        "boundary: source has "
            + source
            + ", destination "
            + destination
            + "; give both sides the same row counts");
  }

  private static void refuse(RowLayout side, AxisType refused, String which, String fix) {
    for (Axis axis : side.mesh().axes()) {
      if (side.mesh().size(axis) > 1 && side.layout().type(axis).equals(refused)) {
        throw new IllegalArgumentException(
            "boundary: axis " + axis.label() + " of the " + which + " is " + refused + "; " + fix);
      }
    }
  }
}
