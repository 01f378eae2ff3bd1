/**
 * A simulated NCCL among the simulated GPUs of {@link dev.heddle.simulated.driver}: a test double
 * below the production code's own downcall handles.
 *
 * <p>{@link dev.heddle.simulated.nccl.SimulatedNccl#install} puts it in the place of {@code
 * libnccl}: each function of NCCL that production code calls becomes an upcall into {@code
 * NcclFunctions}, whose methods have the names of the functions. A {@code Communicator} is what an
 * {@code ncclComm_t} stands for, its {@code Clique} what the members of one share, and a {@code
 * Launch} the calls that a group gave to one stream.
 *
 * <p>A launch is work of its stream: it runs when the stream has got to it, which on lazy streams
 * is when somebody waits for it, and then it runs the other members' streams until they have got to
 * theirs, as on real GPUs they would by themselves. Only then are bytes moved, by plain loops that
 * reduce in the order of the ranks. So a collective that was not ordered after the work that it
 * needs moves poison.
 *
 * <p>It is less forgiving than NCCL. Members that call different things, or with different counts,
 * types, reductions or roots, are a fault on every GPU concerned, where NCCL would hang or mix up
 * bytes; so is a communicator that is used on two streams without an order between them. Maxima
 * lose NaN, as NCCL's do. The first message between two ranks of a communicator waits on the host
 * for the other one's call, as it does in NCCL. A member that does not come leaves the others
 * waiting, as with NCCL; the simulated driver then names what its streams wait for.
 */
@NullMarked
package dev.heddle.simulated.nccl;

import org.jspecify.annotations.NullMarked;
