package dev.heddle.autograd;

import org.jspecify.annotations.Nullable;

/**
 * Whether operators on this thread record how to go back. On by default.
 *
 * <pre>{@code
 * try (GradientMode off = GradientMode.noGrad()) {
 *   Tensor y = model.forward(x);   // nothing is saved
 * }
 * }</pre>
 */
public final class GradientMode implements AutoCloseable {
  private static final ThreadLocal<State> STATE = ThreadLocal.withInitial(State::new);

  private static final class State {
    boolean enabled = true;
    @Nullable Captures captures;
  }

  private final State state;
  private final boolean enabledBefore;
  private final @Nullable Captures capturesBefore;

  private GradientMode(boolean enabled, @Nullable Captures captures) {
    state = STATE.get();
    enabledBefore = state.enabled;
    capturesBefore = state.captures;
    state.enabled = enabled;
    state.captures = captures;
  }

  /** Records nothing until the returned object is closed. */
  public static GradientMode noGrad() {
    return new GradientMode(false, null);
  }

  /** Records again, inside a {@link #noGrad()}, until the returned object is closed. */
  public static GradientMode enableGrad() {
    return new GradientMode(true, null);
  }

  /** Records nothing, but notes which tensors from outside are used. */
  static GradientMode capturing(Captures captures) {
    return new GradientMode(false, captures);
  }

  /** Whether operators record on this thread now. */
  public static boolean isEnabled() {
    return STATE.get().enabled;
  }

  /**
   * Whether an operator on these inputs will be recorded, so that it knows before it computes if
   * there is anything to save. Null entries are skipped.
   */
  public static boolean isRecording(@Nullable Tensor... inputs) {
    if (isEnabled()) {
      for (Tensor input : inputs) {
        if (input != null && input.requiresGradient()) {
          return true;
        }
      }
    }
    return false;
  }

  /** Tells whoever asked for it (see {@link #capturing}) what an unrecorded operator used. */
  static void noteUnrecorded(Node node) {
    Captures captures = STATE.get().captures;
    if (captures != null) {
      captures.note(node.inputs());
    }
  }

  /** Goes back to what was in force before. */
  @Override
  public void close() {
    state.enabled = enabledBefore;
    state.captures = capturesBefore;
  }
}
