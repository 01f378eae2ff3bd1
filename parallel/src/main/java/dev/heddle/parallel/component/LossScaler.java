package dev.heddle.parallel.component;

/**
 * What the gradient of the loss is multiplied by, so that small gradients do not vanish in a narrow
 * dtype; the update divides by it again. An adaptive scale grows while gradients stay finite and
 * falls back when one does not (Micikevicius et al., "Mixed Precision Training", ICLR 2018). Every
 * rank has its own scaler, and all agree on whether a step was finite before any scaler hears of
 * it: so the scale is the same everywhere.
 */
public final class LossScaler {
  private static final double FIRST = 65536;
  private static final int PATIENCE = 2000;

  private final int patience;
  private double scale;
  private int finiteSteps;

  private LossScaler(double scale, int patience) {
    if (!(scale > 0) || Double.isInfinite(scale)) {
      throw new IllegalArgumentException(
          "loss scale: got " + scale + ", wanted a finite number above 0; 1 is none");
    }
    this.scale = scale;
    this.patience = patience;
  }

  /** Always {@code scale}; 1 for none. */
  public static LossScaler fixed(double scale) {
    return new LossScaler(scale, 0);
  }

  /** From 65536: halved when a step is not finite, doubled after 2000 that are. */
  public static LossScaler adaptive() {
    return adaptive(FIRST, PATIENCE);
  }

  /**
   * An adaptive one of other numbers.
   *
   * @param first the scale of the first step
   * @param patience after how many finite steps at one scale it doubles
   */
  public static LossScaler adaptive(double first, int patience) {
    if (patience < 1) {
      throw new IllegalArgumentException(
          "loss scale: got " + patience + " steps to its growth, wanted at least 1");
    }
    return new LossScaler(first, patience);
  }

  /** Whether the scale changes. */
  public boolean isAdaptive() {
    return patience > 0;
  }

  /** The scale of the next step. */
  public double scale() {
    return scale;
  }

  /** How many finite steps there were since the scale last changed. */
  public int finiteSteps() {
    return finiteSteps;
  }

  /** Goes on as a checkpoint says; a fixed scale stays as it is. */
  public void resumeAt(double savedScale, int savedFiniteSteps) {
    if (isAdaptive()) {
      scale = savedScale;
      finiteSteps = savedFiniteSteps;
    }
  }

  /** After how many finite steps the scale doubles; 0 if it never changes. */
  int patience() {
    return patience;
  }

  /** Hears where a step has led; see {@link dev.heddle.runtime.StepControl} for the rule. */
  void now(double newScale, int newFiniteSteps) {
    scale = newScale;
    finiteSteps = newFiniteSteps;
  }
}
