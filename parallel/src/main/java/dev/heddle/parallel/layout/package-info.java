/**
 * Who holds which part of a value, and what holding it means.
 *
 * <p>Two views of the same thing:
 *
 * <ul>
 *   <li>{@link dev.heddle.parallel.layout.Layout} is the type of a distributed tensor: a mesh, and
 *       for each mesh axis an {@link dev.heddle.parallel.layout.AxisType} that says whether its
 *       ranks hold copies, parts or summands. The type of the gradient follows from it, as in the
 *       type system of spmd_types (R, I, V, P).
 *   <li>{@link dev.heddle.parallel.layout.RowLayout} is what a boundary between two components
 *       sees: for each rank the intervals of rows and of features that it holds, and at which place
 *       of its local buffer. It is computed from a layout over the dims (sample, position, feature)
 *       and from {@link dev.heddle.parallel.layout.RowCounts}: rows are ragged, a sample may have
 *       none, and how many it has is always said, never inferred from a shape.
 * </ul>
 *
 * <p>Nothing needs to divide: {@link dev.heddle.parallel.layout.Split} cuts n items into k parts as
 * numpy's {@code array_split} does. Sets of rows are {@link dev.heddle.parallel.layout.Intervals}:
 * sorted, disjoint, cheap to intersect. Everything in this package is an immutable value; no tensor
 * is needed to make or to check one.
 */
package dev.heddle.parallel.layout;
