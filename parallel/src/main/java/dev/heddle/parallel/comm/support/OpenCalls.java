package dev.heddle.parallel.comm.support;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The calls of one rank that still hold arrays, in the order in which they were posted. Used by the
 * rank's thread only.
 */
public final class OpenCalls<C extends PostedCall> {
  private final List<C> calls = new ArrayList<>();

  /** No calls. */
  public OpenCalls() {}

  /** Adds a call that holds its arrays from now on. */
  public void add(C call) {
    calls.add(call);
  }

  /** Removes a call that has let go of its arrays, most often one of the last that were added. */
  public void remove(C call) {
    for (int i = calls.size() - 1; i >= 0; i--) {
      if (calls.get(i) == call) {
        calls.remove(i);
        return;
      }
    }
  }

  /** The call that was added last; null if there is none. */
  public @Nullable C last() {
    return calls.isEmpty() ? null : calls.get(calls.size() - 1);
  }

  /** The calls that are open now. */
  public List<C> snapshot() {
    return List.copyOf(calls);
  }
}
