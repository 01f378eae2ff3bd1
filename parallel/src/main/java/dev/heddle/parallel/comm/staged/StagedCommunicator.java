package dev.heddle.parallel.comm.staged;

import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Lays ranks whose arrays are on a device that others cannot reach over a communicator of the same
 * ranks for arrays in main memory: what a rank puts in is copied there when it calls, and what it
 * gets out is copied back when it awaits. Arrays in main memory, and those without bytes, are
 * passed on as they are.
 *
 * <p>Statistics, names, errors and time-outs are those of the communicator below.
 */
public final class StagedCommunicator implements Communicator, AutoCloseable {
  private final Communicator below;
  private final Staging staging;

  private StagedCommunicator(Communicator below, Staging staging) {
    this.below = below;
    this.staging = staging;
  }

  /**
   * The ranks of {@code world}, a communicator for arrays in main memory. Closing it gives back the
   * main memory that it has used; it does not close {@code world}.
   */
  public static StagedCommunicator over(Communicator world) {
    return over(world, device -> !(device instanceof CpuDevice));
  }

  /**
   * As {@link #over(Communicator)}, staging the arrays of all devices that are {@code outOfReach},
   * be they in main memory: what staging costs and whether it is right can then be seen without
   * other devices.
   */
  public static StagedCommunicator over(Communicator world, Predicate<Device> outOfReach) {
    return new StagedCommunicator(world, new Staging("staging:" + world.rank(), outOfReach));
  }

  /** Gives back the main memory of this communicator and its subgroups. */
  @Override
  public void close() {
    staging.close();
  }

  @Override
  public void requireUsable() {
    below.requireUsable();
  }

  @Override
  public void abort(Throwable cause) {
    below.abort(cause);
    staging.abandon();
  }

  // ---- the group

  @Override
  public String name() {
    return below.name();
  }

  @Override
  public int rank() {
    return below.rank();
  }

  @Override
  public int size() {
    return below.size();
  }

  @Override
  public int globalRank(int member) {
    return below.globalRank(member);
  }

  @Override
  public List<Integer> globalRanks() {
    return below.globalRanks();
  }

  @Override
  public Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    return below.subgroup(name, globalRanks).map(this::known);
  }

  private Communicator known(Communicator group) {
    return group == below
        ? this
        : staging.groups.computeIfAbsent(group, key -> new StagedCommunicator(key, staging));
  }

  // ---- collectives

  @Override
  public Handle allReduce(NDArray array, ReduceOp op) {
    StagedCall call = staging.call();
    NDArray host = call.both(array);
    return call.post(() -> below.allReduce(host, op));
  }

  @Override
  public Handle reduce(NDArray array, ReduceOp op, int root) {
    StagedCall call = staging.call();
    NDArray host = rank() == root ? call.both(array) : call.in(array);
    return call.post(() -> below.reduce(host, op, root));
  }

  @Override
  public Handle broadcast(NDArray array, int root) {
    StagedCall call = staging.call();
    NDArray host = rank() == root ? call.in(array) : call.out(array);
    return call.post(() -> below.broadcast(host, root));
  }

  @Override
  public Handle allGather(NDArray part, List<NDArray> wholes) {
    StagedCall call = staging.call();
    NDArray host = call.in(part);
    List<NDArray> hosts = call.out(wholes);
    return call.post(() -> below.allGather(host, hosts));
  }

  @Override
  public Handle gather(NDArray part, List<NDArray> wholes, int root) {
    StagedCall call = staging.call();
    NDArray host = call.in(part);
    List<NDArray> hosts = rank() == root ? call.out(wholes) : List.of();
    return call.post(() -> below.gather(host, hosts, root));
  }

  @Override
  public Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    StagedCall call = staging.call();
    List<NDArray> hosts = rank() == root ? call.in(wholes) : List.of();
    NDArray host = call.out(part);
    return call.post(() -> below.scatter(hosts, host, root));
  }

  @Override
  public Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    StagedCall call = staging.call();
    List<NDArray> hosts = call.in(wholes);
    NDArray host = call.out(part);
    return call.post(() -> below.reduceScatter(hosts, host, op));
  }

  @Override
  public Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    StagedCall call = staging.call();
    List<NDArray> hostSources = call.in(sources);
    List<NDArray> hostDestinations = call.out(destinations);
    return call.post(() -> below.allToAll(hostSources, hostDestinations));
  }

  // ---- point to point

  @Override
  public Handle exchange(List<Message> messages) {
    StagedCall call = staging.call();
    List<Message> staged = new ArrayList<>(messages.size());
    for (Message message : messages) {
      staged.add(call.message(message));
    }
    return call.post(() -> below.exchange(staged));
  }

  // ---- blocking helpers

  @Override
  public void barrier() {
    below.barrier();
  }

  @Override
  public double allReduce(double value, ReduceOp op) {
    return below.allReduce(value, op);
  }

  @Override
  public void allReduce(double[] values, ReduceOp op) {
    below.allReduce(values, op);
  }

  @Override
  public long allReduce(long value, ReduceOp op) {
    return below.allReduce(value, op);
  }

  @Override
  public void allReduce(long[] values, ReduceOp op) {
    below.allReduce(values, op);
  }

  @Override
  public long[][] allGather(long[] values) {
    return below.allGather(values);
  }

  // ---- counting

  @Override
  public CommunicationStatistics statistics() {
    return below.statistics();
  }

  @Override
  public CommunicationStatistics totalStatistics() {
    return below.totalStatistics();
  }
}
