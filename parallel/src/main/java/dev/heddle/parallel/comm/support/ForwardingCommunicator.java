package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A communicator that is another one but for something that it adds to each operation, and so are
 * its subgroups: what concerns the group is forwarded here, the operations are the subclass's.
 */
public abstract class ForwardingCommunicator implements Communicator {
  private final Communicator target;

  /** Shared by a world and its subgroups: the same group is the same communicator again. */
  private final Map<Communicator, Communicator> around;

  /** Stands before {@code world}. */
  protected ForwardingCommunicator(Communicator world) {
    this.target = world;
    this.around = new IdentityHashMap<>();
  }

  /** Stands before {@code group}, a subgroup of what {@code parent} stands before. */
  protected ForwardingCommunicator(Communicator group, ForwardingCommunicator parent) {
    this.target = group;
    this.around = parent.around;
  }

  /** A communicator as this one before a subgroup, by the second constructor. */
  protected abstract Communicator before(Communicator group);

  /** The communicator that does the work. */
  public final Communicator target() {
    return target;
  }

  @Override
  public final String name() {
    return target.name();
  }

  @Override
  public final int rank() {
    return target.rank();
  }

  @Override
  public final int size() {
    return target.size();
  }

  @Override
  public final int globalRank(int member) {
    return target.globalRank(member);
  }

  @Override
  public final List<Integer> globalRanks() {
    return target.globalRanks();
  }

  @Override
  public final Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    return target
        .subgroup(name, globalRanks)
        .map(group -> around.computeIfAbsent(group, this::before));
  }

  @Override
  public final void requireUsable() {
    target.requireUsable();
  }

  @Override
  public final void abort(Throwable cause) {
    target.abort(cause);
  }

  @Override
  public final CommunicationStatistics statistics() {
    return target.statistics();
  }

  @Override
  public final CommunicationStatistics totalStatistics() {
    return target.totalStatistics();
  }
}
