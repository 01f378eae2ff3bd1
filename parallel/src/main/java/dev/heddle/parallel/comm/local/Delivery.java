package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.RunCursor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * A message of which at least one end is posted. Once both are, either end may take it and copy the
 * bytes straight from source to destination. While it waits for the second end, the first may take
 * it back; one of the two succeeds, so arrays of a call that has failed are never touched.
 */
final class Delivery {
  // One object with its state in it: whoever comes second fetches it from the other core.
  private static final VarHandle STATE;
  private static final VarHandle NEXT;

  static {
    try {
      MethodHandles.Lookup fields = MethodHandles.lookup();
      STATE = fields.findVarHandle(Delivery.class, "state", int.class);
      NEXT = fields.findVarHandle(Delivery.class, "next", Delivery.class);
    } catch (ReflectiveOperationException impossible) {
      throw new ExceptionInInitializerError(impossible);
    }
  }

  private static final int HALF = 0;
  private static final int MATCHED = 1;
  private static final int TAKEN = 2;
  private static final int DONE = 3;
  private static final int CANCELLED = 4;

  final int from;
  final int to;
  final long number;

  // HALF, which a store here would make every rank wait until all before it has left its core.
  private volatile int state;
  private volatile @Nullable Delivery next;
  private final @Nullable Message first;
  private @Nullable Message second;

  // Looked up by each end itself. Whoever copies would have to fetch the other end's block for it,
  // whose references that end has just counted.
  private final MemorySegment firstMemory;
  private final boolean hasBytes;
  private MemorySegment secondMemory = MemorySegment.NULL;
  private @Nullable Failure broken;

  /** Delivery {@code number} from member {@code from} to member {@code to}, with one end. */
  Delivery(int from, int to, long number, @Nullable Message first) {
    this.from = from;
    this.to = to;
    this.number = number;
    this.first = first;
    this.firstMemory = first == null ? MemorySegment.NULL : first.array().segment();
    this.hasBytes = first != null && first.array().device().hasBytes();
  }

  /** What stands before the first delivery of a channel. */
  static Delivery beforeAll(int from, int to) {
    return new Delivery(from, to, -1, null);
  }

  // ---- the chain

  /** The delivery behind this one; null until one is appended. */
  @Nullable Delivery next() {
    return next;
  }

  /**
   * Goes on to the delivery behind this one and makes the message its end; it is a new one if there
   * is none yet. Each end does so once. The second lets go of the link: else one delivery that the
   * collector has moved to its old generation would keep all later ones alive.
   */
  Delivery advance(Message message) {
    Delivery found = next;
    if (found == null) {
      Delivery own = new Delivery(from, to, number + 1, message);
      if (NEXT.compareAndSet(this, null, own)) {
        return own;
      }
      found = next;
      if (found == null) {
        throw new IllegalStateException("a third end of delivery " + number);
      }
    }
    found.bring(message);
    NEXT.setOpaque(this, null);
    return found;
  }

  // Written before anything is read: so the line comes from the other core once, to be written.
  private void bring(Message message) {
    second = message;
    secondMemory = message.array().segment();
  }

  // ---- the ends

  /**
   * Lets the delivery be copied, whose ends fit; it stays as it is where the first end was taken
   * back.
   */
  void match() {
    STATE.compareAndSet(this, HALF, MATCHED);
  }

  /** Takes the first end back; whether the delivery will never be copied. */
  boolean cancel() {
    return STATE.compareAndSet(this, HALF, CANCELLED) || state == CANCELLED;
  }

  /** The end that was posted first. */
  Message firstEnd() {
    Message end = first;
    if (end == null) {
      throw new IllegalStateException("a delivery without ends");
    }
    return end;
  }

  /** Whether nobody has posted the second end, or the first one was taken back. */
  boolean isHalf() {
    int now = state;
    return now == HALF || now == CANCELLED;
  }

  boolean isMatched() {
    return state == MATCHED;
  }

  boolean isDone() {
    return state == DONE;
  }

  boolean take() {
    return state == MATCHED && STATE.compareAndSet(this, MATCHED, TAKEN);
  }

  /** Copies the elements; only by who took it. */
  void copy(LocalRank worker) {
    Message one = firstEnd();
    Message other = second;
    if (other != null && hasBytes) {
      RunCursor source = worker.sources[0];
      RunCursor destination = worker.destinations[0];
      boolean sent = one.isSend();
      source.start(sent ? one : other, sent ? firstMemory : secondMemory);
      destination.start(sent ? other : one, sent ? secondMemory : firstMemory);
      RunCursor.copy(source, destination, one.elementCount());
    }
  }

  /** Ends it; only by who took it. */
  void done(@Nullable Failure failure) {
    broken = failure;
    // Without a fence, which would wait for all that was copied to leave the core. Whoever sleeps
    // until this is seen is woken if the caller's next look finds it asleep, and looks by itself.
    STATE.setRelease(this, DONE);
  }

  /** Why the elements could not be copied, once done; null when they were. */
  @Nullable Failure broken() {
    return broken;
  }
}
