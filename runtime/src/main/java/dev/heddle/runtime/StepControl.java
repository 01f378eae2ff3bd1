package dev.heddle.runtime;

/**
 * How a training step ends, as numbers in a device's memory: whether it was finite, its loss and
 * norm, the scale of its gradients, and what follows for the optimizers and for the scale of the
 * next loss. A device that computes on its own thereby ends a step and begins the next without the
 * host, which reads the numbers when it likes. {@link Kernels#concludeStep} is the rule.
 *
 * <p>There are two vectors of F64. <b>Control</b> holds what the step brought and what the host
 * says of it, <b>state</b> what goes on from step to step:
 *
 * <pre>
 *   control  LOSS TOKENS SQUARES | CLIP_NORM PATIENCE | a learning rate for each optimizer
 *   state    SCALE FINITE_STEPS | MEAN_LOSS VALID_TOKENS NORM IS_FINITE | an update for each optimizer
 *   update   GO RATE STEP GRADIENT_SCALE
 * </pre>
 *
 * <p>With N the number of tokens, at least 1, and s the scale: the gradients' scale is g = 1/(N s),
 * the norm sqrt(SQUARES) g, the mean loss LOSS/N. The step is finite if LOSS and norm are. Then
 * each update's STEP grows by one, its GRADIENT_SCALE is g, or g CLIP_NORM/norm where the norm is
 * larger than CLIP_NORM, and GO is 1; otherwise GO is 0 and nothing is to be updated. A PATIENCE
 * above 0 adapts the scale (Micikevicius et al., "Mixed Precision Training", ICLR 2018): halved by
 * a step that is not finite, doubled after that many which are.
 */
public final class StepControl {
  /** In control: the sum of the losses, not scaled. */
  public static final int LOSS = 0;

  /** In control: the number of tokens that the sum is over. */
  public static final int TOKENS = 1;

  /** In control: the sum of the squares of all gradients, which have the scale of the loss. */
  public static final int SQUARES = 2;

  /** In control: the largest norm of the gradients; infinity for any. */
  public static final int CLIP_NORM = 3;

  /** In control: after how many finite steps the scale doubles; 0 if it never changes. */
  public static final int PATIENCE = 4;

  /** In control: the first optimizer's learning rate. */
  public static final int FIRST_RATE = 5;

  /** In state: what the loss is multiplied by before its backward pass. */
  public static final int SCALE = 0;

  /** In state: how many finite steps there were since the scale last changed. */
  public static final int FINITE_STEPS = 1;

  /** In state: the last step's loss a token. */
  public static final int MEAN_LOSS = 2;

  /** In state: the last step's number of tokens. */
  public static final int VALID_TOKENS = 3;

  /** In state: the last step's norm, before clipping. */
  public static final int NORM = 4;

  /** In state: 1 if the last step was finite, else 0. */
  public static final int IS_FINITE = 5;

  /** In state: the first optimizer's update. */
  public static final int FIRST_UPDATE = 6;

  /** In an update: 1 if it is to be done, else 0. */
  public static final int GO = 0;

  /** In an update: the learning rate. */
  public static final int RATE = 1;

  /** In an update: its number from 1, the steps that were not finite not counted. */
  public static final int STEP = 2;

  /** In an update: what gradients are multiplied by first. */
  public static final int GRADIENT_SCALE = 3;

  /** Numbers of an update. */
  public static final int UPDATE_LENGTH = 4;

  /** The smallest scale that adapting leads to. */
  public static final double SMALLEST_SCALE = 0x1p-40;

  /** The largest. */
  public static final double LARGEST_SCALE = 0x1p40;

  private StepControl() {}

  /** Numbers of the control vector for so many optimizers. */
  public static int controlLength(int optimizers) {
    return FIRST_RATE + optimizers;
  }

  /** Numbers of the state vector for so many optimizers. */
  public static int stateLength(int optimizers) {
    return FIRST_UPDATE + UPDATE_LENGTH * optimizers;
  }

  /** Where the update of an optimizer begins in the state vector. */
  public static int update(int optimizer) {
    return FIRST_UPDATE + UPDATE_LENGTH * optimizer;
  }

  /** The rule, on the host. */
  static void conclude(double[] control, double[] state) {
    double count = Math.max(1, control[TOKENS]);
    double scale = 1 / (count * state[SCALE]);
    double norm = Math.sqrt(control[SQUARES]) * scale;
    boolean finite = Double.isFinite(norm) && Double.isFinite(control[LOSS]);
    double clip = norm > control[CLIP_NORM] ? control[CLIP_NORM] / norm : 1;
    state[MEAN_LOSS] = control[LOSS] / count;
    state[VALID_TOKENS] = control[TOKENS];
    state[NORM] = norm;
    state[IS_FINITE] = finite ? 1 : 0;
    for (int i = 0; FIRST_RATE + i < control.length; i++) {
      int update = update(i);
      state[update + GO] = finite ? 1 : 0;
      state[update + RATE] = control[FIRST_RATE + i];
      state[update + STEP] += finite ? 1 : 0;
      state[update + GRADIENT_SCALE] = clip * scale;
    }
    if (control[PATIENCE] > 0) {
      adapt(finite, control[PATIENCE], state);
    }
  }

  private static void adapt(boolean finite, double patience, double[] state) {
    state[FINITE_STEPS] = finite ? state[FINITE_STEPS] + 1 : 0;
    if (!finite) {
      state[SCALE] = Math.max(SMALLEST_SCALE, state[SCALE] / 2);
    } else if (state[FINITE_STEPS] == patience) {
      state[SCALE] = Math.min(LARGEST_SCALE, state[SCALE] * 2);
      state[FINITE_STEPS] = 0;
    }
  }
}
