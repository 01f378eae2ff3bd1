package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import dev.heddle.parallel.comm.support.PostedCall;
import dev.heddle.parallel.comm.support.Whereabouts;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.cuda.CudaDevice;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/** What a rank's communicators share: its GPU, its thread, its groups, and the time they have. */
final class NcclRank {
  final CudaDevice device;
  final int globalRank;
  final CommunicationStatistics totals = new CommunicationStatistics();

  /** By group; used by the rank's thread only. */
  final Map<GroupIdentity, NcclCommunicator> communicators = new HashMap<>();

  private final Thread thread = Thread.currentThread();
  private final Duration timeout;

  /** In the order in which they were made. */
  private final List<NcclGroup> groups = new CopyOnWriteArrayList<>();

  /** Operations that were posted and not awaited; used by the rank's thread only. */
  private final Set<NcclOperation> open = new LinkedHashSet<>();

  /** A comparison of calls that the device's stream waits for already. */
  private record Comparison(NcclGroup group, Handle handle) {}

  /** Comparisons that have not ended, oldest first; used by the rank's thread only. */
  private final ArrayDeque<Comparison> comparisons = new ArrayDeque<>();

  private @Nullable MetaDevice shapes;

  private volatile @Nullable PostedCall lastCall;

  NcclRank(CudaDevice device, int globalRank, Duration timeout) {
    this.device = device;
    this.globalRank = globalRank;
    this.timeout = timeout;
  }

  void checkThread() {
    if (Thread.currentThread() != thread) {
      throw new IllegalStateException(
          "communicator of rank "
              + globalRank
              + " is used by thread "
              + Thread.currentThread().getName()
              + "; only the rank's own thread may communicate, so hand the work to it");
    }
  }

  long timeoutNanos() {
    return timeout.toNanos();
  }

  /** The time-out in words, such as {@code 0.5 s}. */
  String timeout() {
    return timeout.toMillis() % 1000 == 0
        ? timeout.toSeconds() + " s"
        : timeout.toMillis() / 1000.0 + " s";
  }

  boolean isInterrupted() {
    return thread.isInterrupted();
  }

  void add(NcclGroup group) {
    groups.add(group);
  }

  List<NcclGroup> groups() {
    return groups;
  }

  // ---- comparisons with other processes

  /** Where arrays have shapes and no bytes. */
  MetaDevice shapes() {
    MetaDevice opened = shapes;
    if (opened == null) {
      opened = MetaDevice.open();
      shapes = opened;
    }
    return opened;
  }

  /** Has a comparison ended before the host waits for the device. */
  void expect(NcclGroup group, Handle comparison) {
    comparisons.add(new Comparison(group, comparison));
  }

  /** Takes note of comparisons that have ended, without waiting. */
  void lookAtComparisons() {
    Comparison first = comparisons.peekFirst();
    while (first != null && first.group.isCompared(first.handle)) {
      comparisons.removeFirst();
      first = comparisons.peekFirst();
    }
  }

  /**
   * Waits until all ranks have called what the device waits for: a host that waits for the device
   * could neither tell who is missing nor hear that one has ended.
   */
  void awaitComparisons() {
    Comparison first = comparisons.peekFirst();
    while (first != null) {
      first.group.awaitCompared(first.handle);
      comparisons.removeFirst();
      first = comparisons.peekFirst();
    }
  }

  /** Throws the failure of any of the rank's groups; what the device calls when it has waited. */
  void refuseIfFailed() {
    for (NcclGroup group : groups) {
      group.refuseIfFailed();
    }
  }

  /** Ends all groups of the rank with the same failure. */
  void fail(Failure failure) {
    for (NcclGroup group : groups) {
      group.board.fail(failure);
      group.abort();
    }
  }

  void posted(NcclOperation operation) {
    lastCall = operation;
    open.add(operation);
  }

  void ended(NcclOperation operation) {
    open.remove(operation);
  }

  /** Refuses to go on with operations that nobody awaited. */
  void requireAllAwaited() {
    for (NcclOperation operation : open) {
      throw new CommunicationException(
          "rank "
              + globalRank
              + " ended, but "
              + operation.describe()
              + " in "
              + operation.where()
              + " was not awaited; await every handle and match every send",
          null);
    }
  }

  /** Lets go of the memory of operations that nobody awaits any more. */
  void releaseOpen() {
    for (NcclOperation operation : List.copyOf(open)) {
      operation.end(PostedCall.State.FAILED);
    }
  }

  /** Where this rank is, for the message of one that waits for it. */
  String whereabouts(boolean ended) {
    return Whereabouts.of(globalRank, lastCall, ended, ended ? null : thread);
  }
}
