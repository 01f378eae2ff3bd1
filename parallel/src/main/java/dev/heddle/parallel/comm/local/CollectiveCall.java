package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.PostedCall;
import org.jspecify.annotations.Nullable;

/**
 * One member's call of a collective: its arguments, which the other members read, and its handle.
 * The arrays are retained from post to completion, so that a scope that closes too early cannot
 * give their memory to somebody else while other ranks write to it.
 */
final class CollectiveCall implements PostedCall, LocalRank.Condition {
  private final LocalCommunicator communicator;

  /** What this member called it with; read by the others. */
  final CollectiveArguments arguments;

  /** The result of an all-gather of host values. */
  long @Nullable [][] gathered;

  private @Nullable CollectiveOperation operation;
  private long sequence;
  private volatile State state = State.POSTED;

  CollectiveCall(LocalCommunicator communicator, CollectiveArguments arguments) {
    this.communicator = communicator;
    this.arguments = arguments;
  }

  void posted(CollectiveOperation newOperation, long newSequence) {
    operation = newOperation;
    sequence = newSequence;
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
    arguments.release();
    communicator.me.open.remove(this);
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
    return communicator.identity().describe() + ", operation " + sequence;
  }

  @Override
  public String describe() {
    return arguments.describe();
  }
}
