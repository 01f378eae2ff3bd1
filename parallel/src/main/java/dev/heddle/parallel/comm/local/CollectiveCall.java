package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One member's call of a collective: its arguments, which the other members read, and its handle.
 * The arrays are retained from post to completion, so that a scope that closes too early cannot
 * give their memory to somebody else while other ranks write to it.
 */
final class CollectiveCall implements PostedCall, LocalRank.Condition {
  private final LocalCommunicator communicator;
  final CommunicationKind kind;
  final @Nullable ReduceOp op;
  final int root;

  /** The array, or this member's part, or null. */
  final @Nullable NDArray array;

  /** What goes to each member, or empty. */
  final List<NDArray> sources;

  /** What comes from each member, or empty. */
  final List<NDArray> destinations;

  final double @Nullable [] doubles;
  final long @Nullable [] longs;

  /** The result of an all-gather of host values. */
  long @Nullable [][] gathered;

  private @Nullable CollectiveOperation operation;
  private long sequence;
  private volatile State state = State.POSTED;

  CollectiveCall(
      LocalCommunicator communicator,
      CommunicationKind kind,
      @Nullable ReduceOp op,
      int root,
      @Nullable NDArray array,
      List<NDArray> sources,
      List<NDArray> destinations) {
    this(communicator, kind, op, root, array, sources, destinations, null, null);
  }

  CollectiveCall(
      LocalCommunicator communicator,
      CommunicationKind kind,
      @Nullable ReduceOp op,
      double @Nullable [] doubles,
      long @Nullable [] longs) {
    this(communicator, kind, op, -1, null, List.of(), List.of(), doubles, longs);
  }

  private CollectiveCall(
      LocalCommunicator communicator,
      CommunicationKind kind,
      @Nullable ReduceOp op,
      int root,
      @Nullable NDArray array,
      List<NDArray> sources,
      List<NDArray> destinations,
      double @Nullable [] doubles,
      long @Nullable [] longs) {
    this.communicator = communicator;
    this.kind = kind;
    this.op = op;
    this.root = root;
    this.array = array;
    this.sources = sources;
    this.destinations = destinations;
    this.doubles = doubles;
    this.longs = longs;
  }

  /** The array that this kind of call has. */
  NDArray array() {
    if (array == null) {
      throw new IllegalStateException(kind.label() + " has no array");
    }
    return array;
  }

  /** The reduction that this kind of call has. */
  ReduceOp op() {
    if (op == null) {
      throw new IllegalStateException(kind.label() + " has no reduction");
    }
    return op;
  }

  /** The dtype of the arrays; null where there are none. */
  @Nullable DType dtype() {
    if (array != null) {
      return array.dtype();
    }
    if (!sources.isEmpty()) {
      return sources.get(0).dtype();
    }
    return null;
  }

  /** Whether there are bytes to move: not on a device that knows shapes only. */
  boolean hasBytes() {
    if (array != null) {
      return array.device().hasBytes();
    }
    return sources.isEmpty() || sources.get(0).device().hasBytes();
  }

  int globalRank(int member) {
    return communicator.globalRank(member);
  }

  void posted(CollectiveOperation newOperation, long newSequence) {
    operation = newOperation;
    sequence = newSequence;
  }

  // ---- memory

  void retain() {
    if (array != null) {
      array.retain();
    }
    for (int i = 0; i < sources.size(); i++) {
      sources.get(i).retain();
    }
    for (int i = 0; i < destinations.size(); i++) {
      destinations.get(i).retain();
    }
  }

  private void release() {
    if (array != null) {
      array.release();
    }
    for (int i = 0; i < sources.size(); i++) {
      sources.get(i).release();
    }
    for (int i = 0; i < destinations.size(); i++) {
      destinations.get(i).release();
    }
  }

  // ---- the handle

  @Override
  public void await() {
    communicator.checkThread();
    while (!progress()) {
      CollectiveOperation current = operation;
      if (current != null && !communicator.waitFor(this)) {
        communicator.group.timeOut(current);
      }
    }
  }

  @Override
  public boolean isDone() {
    communicator.checkThread();
    return progress();
  }

  /** Does what can be done now; whether the operation is complete. */
  private boolean progress() {
    CollectiveOperation current = operation;
    if (current == null) {
      return true;
    }
    LocalGroup group = communicator.group;
    if (current.hasArrived()) {
      current.work(communicator.rank(), communicator.me);
    }
    if (current.isComplete()) {
      Failure broken = current.broken();
      end(broken == null ? State.COMPLETED : State.FAILED);
      group.finish(current);
      if (broken != null) {
        throw broken.toException();
      }
      return true;
    }
    Failure failure = group.failureOf(current);
    if (failure != null) {
      end(State.FAILED);
      throw failure.toException();
    }
    return false;
  }

  private void end(State how) {
    operation = null;
    state = how;
    release();
  }

  @Override
  public boolean isReady() {
    CollectiveOperation current = operation;
    return current == null
        || (current.hasArrived() ? current.hasWork() : communicator.group.isHopeless(current));
  }

  // ---- in words

  @Override
  public State state() {
    return state;
  }

  @Override
  public String where() {
    return communicator.group.describe() + ", operation " + sequence;
  }

  @Override
  public String describe() {
    StringBuilder text = new StringBuilder(kind.label());
    if (array != null) {
      text.append(' ').append(array.dtype()).append(array.shape());
    } else if (!sources.isEmpty()) {
      text.append(' ').append(sources.get(0).dtype());
    }
    if (!sources.isEmpty()) {
      appendShapes(text, " from ", sources);
    }
    if (!destinations.isEmpty()) {
      appendShapes(text, " to ", destinations);
    }
    if (doubles != null) {
      text.append(" of ").append(doubles.length).append(" doubles");
    }
    if (longs != null) {
      text.append(" of ").append(longs.length).append(" longs");
    }
    if (op != null) {
      text.append(' ').append(op);
    }
    if (root >= 0) {
      text.append(" root ").append(root);
    }
    return text.toString();
  }

  private static void appendShapes(StringBuilder text, String word, List<NDArray> arrays) {
    text.append(word);
    for (int i = 0; i < arrays.size(); i++) {
      text.append(i == 0 ? "" : "+").append(arrays.get(i).shape());
    }
  }
}
