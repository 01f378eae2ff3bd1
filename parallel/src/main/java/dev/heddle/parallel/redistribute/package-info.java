/**
 * The boundary between two components: a linear map between two layouts, first as a plan.
 *
 * <p>A {@link dev.heddle.parallel.redistribute.Boundary} has a source and a destination {@link
 * dev.heddle.parallel.layout.RowLayout} of the same rows. Moving a value from one to the other is a
 * linear map A that changes no number, only who holds it; the gradient comes back by exactly its
 * transpose. The transpose of a boundary is again a boundary, from the destination's gradient
 * layout to the source's ({@link dev.heddle.parallel.redistribute.Boundary#transpose}), so there is
 * one planner, one proof and one executor for both directions.
 *
 * <p>A {@link dev.heddle.parallel.redistribute.TransferPlan} is data: phases of {@linkplain
 * dev.heddle.parallel.redistribute.Transfer transfers}, each with its global rows and features and
 * its places in the sender's and the receiver's buffer. It can be printed, costed against the lower
 * bound and proved ({@link dev.heddle.parallel.redistribute.TransferPlan#verify}) without any
 * tensor or any second rank. Every rank computes the same plan from the same layouts, so nobody has
 * to be told what to send.
 *
 * <p>Within a component, values change their axis type by operators of two types each, every one
 * with its transpose as its backward:
 *
 * <table>
 *   <caption>Operators</caption>
 *   <tr><th>operator</th><th>forward</th><th>backward</th></tr>
 *   <tr><td>{@code invariantToReplicate}</td><td>nothing</td><td>all-reduce</td></tr>
 *   <tr><td>{@code partialToInvariant}</td><td>all-reduce</td><td>nothing</td></tr>
 *   <tr><td>{@code shardToReplicate}</td><td>all-gather</td><td>reduce-scatter</td></tr>
 *   <tr><td>{@code partialToShard}</td><td>reduce-scatter</td><td>all-gather</td></tr>
 *   <tr><td>{@code shardToShard}</td><td>all-to-all</td><td>all-to-all</td></tr>
 * </table>
 *
 * <p>The strategies are different plans for the same A: see {@link
 * dev.heddle.parallel.redistribute.Strategy}.
 */
package dev.heddle.parallel.redistribute;
