package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.RunCursor;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * A message of which at least one end is posted. Once both are, either end may take it and copy the
 * bytes straight from source to destination.
 */
final class Delivery {
  private static final int HALF = 0;
  private static final int MATCHED = 1;
  private static final int TAKEN = 2;
  private static final int DONE = 3;

  final int from;
  final int to;
  final long number;
  private final AtomicInteger state = new AtomicInteger(HALF);
  private @Nullable Message send;
  private @Nullable Message receive;
  private @Nullable Failure broken;

  /** Delivery {@code number} from member {@code from} to member {@code to}. */
  Delivery(int from, int to, long number) {
    this.from = from;
    this.to = to;
    this.number = number;
  }

  /** Adds one end, the group's lock being held. */
  void end(Message message) {
    if (message.isSend()) {
      send = message;
    } else {
      receive = message;
    }
  }

  /** Lets the delivery be copied: both ends are posted and fit. */
  void match() {
    state.set(MATCHED);
  }

  Message anyEnd() {
    Message end = send == null ? receive : send;
    if (end == null) {
      throw new IllegalStateException("a delivery without ends");
    }
    return end;
  }

  /** Whether one end is posted already, so that the next one completes it. */
  boolean hasEnd() {
    return send != null || receive != null;
  }

  boolean hasSender() {
    return send != null;
  }

  boolean isHalf() {
    return state.get() == HALF;
  }

  boolean isMatched() {
    return state.get() == MATCHED;
  }

  boolean isDone() {
    return state.get() == DONE;
  }

  boolean take() {
    return state.compareAndSet(MATCHED, TAKEN);
  }

  /** Copies the elements; only by who took it. */
  void copy(LocalRank worker) {
    Message source = send;
    Message destination = receive;
    if (source != null && destination != null && source.array().device().hasBytes()) {
      RunCursor from = worker.sources[0];
      RunCursor to = worker.destinations[0];
      from.start(source);
      to.start(destination);
      RunCursor.copy(from, to, source.elementCount());
    }
  }

  /** Ends it; only by who took it. */
  void done(@Nullable Failure failure) {
    broken = failure;
    state.set(DONE);
  }

  /** Why the elements could not be copied, once done; null when they were. */
  @Nullable Failure broken() {
    return broken;
  }
}
