package dev.heddle.parallel.comm;

import dev.heddle.runtime.NDArray;
import java.util.List;
import java.util.Optional;

/**
 * One rank's access to a group of ranks. All members call the same collectives in the same order;
 * each call names what this rank puts in and where it wants the result, and returns a {@link
 * Handle} at once. {@code root}, {@code peer} and positions in lists are member numbers, 0 to
 * {@link #size()} - 1; {@link #globalRank} translates them to the numbers of the world.
 *
 * <p>Arrays may be views of any strides; contiguous ones are fastest. Parts may differ in size from
 * member to member and may be empty. Where a part is already where it belongs (the same memory), it
 * stays there; other overlaps of what an operation reads and writes are not allowed. Any dtype can
 * be moved; F32, F64, BF16, I32 and I64 can be reduced. Reductions are formed in member order, so
 * every rank gets the same bits in every run.
 *
 * <p>A communicator belongs to its rank's thread.
 *
 * <p>Errors: arguments that no rank could mean are refused with {@link IllegalArgumentException} by
 * the call. What only shows between ranks (different operations, sizes that do not fit, a rank that
 * does not come, another rank's failure) is thrown by the call or by {@link Handle#await()} as a
 * {@link CommunicationException}, on every rank concerned.
 */
public interface Communicator {
  /** What the group is called in messages. */
  String name();

  /** This rank's number in the group. */
  int rank();

  /** The number of ranks in the group. */
  int size();

  /** The number in the world of member {@code member}. */
  int globalRank(int member);

  /** The members' numbers in the world, in member order. */
  List<Integer> globalRanks();

  /**
   * The group of the given ranks, members of this group by their numbers in the world; their order
   * is the new group's. Every rank of the new group calls this, other ranks may. The same name and
   * ranks give the same communicator again.
   *
   * @return the new group, or empty if this rank is not in it
   */
  Optional<Communicator> subgroup(String name, List<Integer> globalRanks);

  // ---- collectives

  /** Every rank's {@code array} becomes the reduction of all; same shape on each. */
  Handle allReduce(NDArray array, ReduceOp op);

  /** The root's {@code array} becomes the reduction of all; the others' stay as they are. */
  Handle reduce(NDArray array, ReduceOp op, int root);

  /** Every rank's {@code array} becomes the root's. */
  Handle broadcast(NDArray array, int root);

  /** {@code wholes.get(i)} becomes member i's {@code part}, on every rank. */
  Handle allGather(NDArray part, List<NDArray> wholes);

  /**
   * On the root, {@code wholes.get(i)} becomes member i's {@code part}.
   *
   * @param wholes one array for each member on the root, empty on the others
   */
  Handle gather(NDArray part, List<NDArray> wholes, int root);

  /**
   * Every member i's {@code part} becomes the root's {@code wholes.get(i)}.
   *
   * @param wholes one array for each member on the root, empty on the others
   */
  Handle scatter(List<NDArray> wholes, NDArray part, int root);

  /** {@code part} becomes the reduction over all ranks of their {@code wholes.get(rank())}. */
  Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op);

  /** {@code destinations.get(i)} becomes member i's {@code sources.get(rank())}. */
  Handle allToAll(List<NDArray> sources, List<NDArray> destinations);

  // ---- point to point

  /**
   * A group of messages, all under way at once. Only the ranks that have messages call it. The n-th
   * send from a to b over this communicator belongs to the n-th receive at b from a, whichever
   * calls they were part of.
   */
  Handle exchange(List<Message> messages);

  // ---- blocking helpers

  /** Returns when every rank has called it. */
  void barrier();

  /** The reduction of one number of each rank, in member order. */
  double allReduce(double value, ReduceOp op);

  /** {@code values[i]} becomes the reduction of all ranks' {@code values[i]}. */
  void allReduce(double[] values, ReduceOp op);

  /** The reduction of one number of each rank. */
  long allReduce(long value, ReduceOp op);

  /** {@code values[i]} becomes the reduction of all ranks' {@code values[i]}. */
  void allReduce(long[] values, ReduceOp op);

  /** All ranks' numbers, by member; how many may differ from rank to rank. */
  long[][] allGather(long[] values);

  // ---- the end

  /**
   * Does nothing if this group can still communicate, as far as this rank has heard; for a rank
   * that waits for something else and has to know when to give up. Does not wait.
   *
   * @throws CommunicationException what the next operation would throw, the group or the run having
   *     failed
   */
  void requireUsable();

  /**
   * Says that this rank has failed and stops the whole run, as if its program had thrown {@code
   * cause}; then lets go of all that this rank has under way, in every group. When it returns,
   * nothing reads or writes this rank's arrays any more, so the memory may be given back: a program
   * that fails calls it before it closes its device, which {@link RankProgram#onDevice} does.
   *
   * <p>What other ranks wait for, and whatever any rank communicates next, throws {@link
   * RankStoppedException}; the run ends with {@link RankFailedException} even if the program then
   * returns. The first call counts. Where ranks are processes, one that neither communicates nor
   * ends keeps messages to it under way; after ten seconds they are left to it.
   */
  void abort(Throwable cause);

  // ---- counting

  /** What this rank communicated in this group; live. */
  CommunicationStatistics statistics();

  /** What this rank communicated in all groups together; live. */
  CommunicationStatistics totalStatistics();
}
