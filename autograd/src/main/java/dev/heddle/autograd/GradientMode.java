package dev.heddle.autograd;

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
  private static final ThreadLocal<boolean[]> ENABLED =
      ThreadLocal.withInitial(() -> new boolean[] {true});

  private final boolean[] enabled;
  private final boolean before;

  private GradientMode(boolean now) {
    enabled = ENABLED.get();
    before = enabled[0];
    enabled[0] = now;
  }

  /** Records nothing until the returned object is closed. */
  public static GradientMode noGrad() {
    return new GradientMode(false);
  }

  /** Records again, inside a {@link #noGrad()}, until the returned object is closed. */
  public static GradientMode enableGrad() {
    return new GradientMode(true);
  }

  /** Whether operators record on this thread now. */
  public static boolean isEnabled() {
    return ENABLED.get()[0];
  }

  /** Goes back to what was in force before. */
  @Override
  public void close() {
    enabled[0] = before;
  }
}
