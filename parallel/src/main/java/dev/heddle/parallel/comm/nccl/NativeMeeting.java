package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationTimeoutException;
import dev.heddle.parallel.comm.Communicator;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The making of a group's NCCL communicators, which waits on the host for all members and for ever
 * if one does not come. So a thread of its own does it, and the rank's thread looks meanwhile
 * whether the run still goes on: a member that hears of a failure just before it would come leaves
 * the others waiting, which then hear of the same failure here.
 *
 * <p>NCCL has communicators that do not wait. They would not do: each of their later launches goes
 * through another thread too.
 */
final class NativeMeeting {
  /** How often the rank's thread looks up; a meeting takes NCCL tens of milliseconds and more. */
  private static final long LOOK_MILLIS = 10;

  /**
   * How long a meeting may still take once the run has failed: if all members had come before that
   * they have their group, and hear of the failure by what they do next.
   */
  private static final long FAILED_MILLIS = 2_000;

  /** How long a meeting that is given up may take to notice. */
  private static final long GIVE_UP_MILLIS = 2_000;

  /** Makes communicators, each handed to {@link #made} at once. */
  @FunctionalInterface
  interface Work {
    /** Waits for others. */
    void run(NativeMeeting meeting);
  }

  private final String where;
  private final Work work;
  private final List<NativeCommunicator> communicators = new ArrayList<>();
  private final CountDownLatch end = new CountDownLatch(1);
  private boolean isGivenUp;
  private volatile @Nullable Throwable failure;

  private NativeMeeting(String where, Work work) {
    this.where = where;
    this.work = work;
  }

  /**
   * Returns the communicators that {@code work} makes, in that order.
   *
   * @param where the group, for messages
   * @param control the group's control communicator, asked whether the run has failed
   * @param timeoutNanos how long it may take
   * @throws CommunicationException if the run has failed, NCCL reports an error, or the time is up;
   *     what was made is then ended
   */
  static List<NativeCommunicator> hold(
      String where, Communicator control, long timeoutNanos, Work work) {
    NativeMeeting meeting = new NativeMeeting(where, work);
    Thread thread = new Thread(meeting::run, "heddle-nccl-meeting");
    // NCCL may wait in there until the process ends, which it must not keep from ending.
    thread.setDaemon(true);
    thread.start();
    try {
      meeting.await(control, timeoutNanos);
    } catch (RuntimeException | Error failed) {
      meeting.giveUp(thread);
      throw failed;
    }
    return List.copyOf(meeting.communicators);
  }

  private void run() {
    try {
      work.run(this);
    } catch (RuntimeException | Error failed) {
      failure = failed;
    } finally {
      end.countDown();
    }
  }

  /**
   * Takes note of a communicator, so that it ends when the meeting is given up; returns it.
   *
   * @throws CommunicationException if the meeting was given up meanwhile
   */
  synchronized NativeCommunicator made(NativeCommunicator communicator) {
    if (isGivenUp) {
      communicator.abort();
      throw new CommunicationException("the meeting of " + where + " was given up", null);
    }
    communicators.add(communicator);
    return communicator;
  }

  private void await(Communicator control, long timeoutNanos) {
    long deadline = System.nanoTime() + timeoutNanos;
    try {
      while (!end.await(LOOK_MILLIS, TimeUnit.MILLISECONDS)) {
        if (hasFailed(control) && !end.await(FAILED_MILLIS, TimeUnit.MILLISECONDS)) {
          control.requireUsable();
        }
        if (System.nanoTime() - deadline > 0) {
          throw new CommunicationTimeoutException(
              "NCCL's meeting of "
                  + where
                  + " timed out after "
                  + Duration.ofNanos(timeoutNanos).toMillis() / 1000.0
                  + " s: all members have come to it, but NCCL does not connect them; set"
                  + " NCCL_DEBUG=INFO to see what it waits for, and NCCL_SOCKET_IFNAME if it takes"
                  + " the wrong network");
        }
      }
    } catch (InterruptedException interrupted) {
      // A run that has failed interrupts the ranks that do not end.
      control.requireUsable();
      throw new CommunicationException(
          "interrupted while NCCL connected the members of " + where, interrupted);
    }
    Throwable failed = failure;
    if (failed != null) {
      // A member that left because the run has failed is no reason of its own.
      control.requireUsable();
      if (failed instanceof Error error) {
        throw error;
      }
      throw (RuntimeException) failed;
    }
  }

  private static boolean hasFailed(Communicator control) {
    try {
      control.requireUsable();
      return false;
    } catch (CommunicationException failed) {
      return true;
    }
  }

  private void giveUp(Thread thread) {
    List<NativeCommunicator> ended;
    synchronized (this) {
      isGivenUp = true;
      ended = List.copyOf(communicators);
    }
    ended.forEach(NativeCommunicator::abort);
    thread.interrupt();
    boolean isOver = false;
    boolean interrupted = Thread.interrupted();
    try {
      isOver = end.await(GIVE_UP_MILLIS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException again) {
      interrupted = true;
    }
    if (isOver) {
      ended.forEach(NativeCommunicator::closeStream);
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
