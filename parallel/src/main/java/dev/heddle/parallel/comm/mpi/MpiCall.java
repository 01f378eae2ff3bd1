package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.PostedCall;
import org.jspecify.annotations.Nullable;

/**
 * What a rank has posted: how it waits, completes and fails. Its arrays are retained until no
 * message reads or writes them any more, even after it has failed.
 */
abstract class MpiCall implements PostedCall, Transfer.Completion {
  // How often a call that all ranks have come to may time out before it is given up.
  private static final int EXTENSIONS = 4;

  final MpiCommunicator communicator;
  private volatile State state = State.POSTED;
  private @Nullable Failure failure;
  private int messages;
  private boolean released;

  MpiCall(MpiCommunicator communicator) {
    this.communicator = communicator;
    communicator.me.open.add(this);
  }

  // ---- what a kind of call adds

  /** Whether it waits for a rank that has ended and will send nothing more. */
  abstract boolean lacksEndedRank();

  /**
   * Says that the call did not complete, naming ranks.
   *
   * @param what what has happened, between the call and its ranks
   * @param isFinal whether it is said even if all ranks have come after all
   * @return null if all ranks have come
   */
  abstract @Nullable String attendance(String what, boolean isFinal);

  /** Goes on after a message has been received or sent. */
  abstract void step();

  /** Forgets what has not come. */
  abstract void forget();

  /** Releases the arrays. */
  abstract void release();

  // ---- messages of its arrays

  /** Counts a message that is under way. */
  final void messageStarted() {
    messages++;
  }

  /** Counts a message that is done. */
  @Override
  public final void done(Transfer transfer) {
    messageDone();
  }

  final void messageDone() {
    messages--;
    if (state == State.POSTED) {
      step();
    } else {
      releaseIfIdle();
    }
  }

  final int messages() {
    return messages;
  }

  final void completed() {
    state = State.COMPLETED;
    releaseIfIdle();
  }

  private void releaseIfIdle() {
    if (messages == 0 && !released) {
      released = true;
      release();
      communicator.me.open.remove(this);
    }
  }

  @Override
  public final State state() {
    return state;
  }

  // ---- the handle

  @Override
  public final void await() {
    communicator.checkThread();
    MpiRank me = communicator.me;
    MpiRank.Wait wait = me.beginWait();
    int extensions = 0;
    while (!isOver()) {
      if (me.waited(wait)) {
        String text = attendance(" timed out after " + me.run.timeout, extensions++ >= EXTENSIONS);
        if (text != null && !isOver()) {
          fail(communicator.declare(Failure.Kind.TIMEOUT, text));
        }
      }
    }
  }

  @Override
  public final boolean isDone() {
    communicator.checkThread();
    return isOver();
  }

  /** Makes progress; whether it is complete. Throws if it has failed. */
  private boolean isOver() {
    communicator.me.progress();
    if (state == State.COMPLETED) {
      return true;
    }
    Failure known = failure;
    if (known == null) {
      known = communicator.failure();
    }
    if (known == null && lacksEndedRank()) {
      String text =
          attendance(" cannot complete: a rank that it needs has ended its program", true);
      known = communicator.declare(Failure.Kind.BROKEN, String.valueOf(text));
    }
    if (known != null) {
      fail(known);
    }
    return false;
  }

  private void fail(Failure reason) {
    if (state == State.POSTED) {
      giveUp(reason);
      communicator.me.settle(this);
    }
    throw reason.toException();
  }

  /** Fails the call if it is under way; its arrays are held until its messages are done. */
  final void giveUp(Failure reason) {
    if (state == State.POSTED) {
      failure = reason;
      state = State.FAILED;
      forget();
      releaseIfIdle();
    }
  }
}
