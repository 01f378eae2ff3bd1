package dev.heddle.parity;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A component that goes wrong in one step: its output, or the gradient that comes back to it, is
 * multiplied by a number that is not finite. With {@link #ofGradient} the loss is as ever and only
 * the gradient of this component, and of what lies before it, is not finite.
 */
final class PoisonedProgram implements ComponentProgram {
  private final ComponentProgram program;
  private final int poisonedCall;
  private final double valueFactor;
  private final double gradientFactor;
  private int calls;

  private PoisonedProgram(
      ComponentProgram program, int poisonedCall, double valueFactor, double gradientFactor) {
    this.program = program;
    this.poisonedCall = poisonedCall;
    this.valueFactor = valueFactor;
    this.gradientFactor = gradientFactor;
  }

  /** Poisons what comes back to the output of forward number {@code poisonedCall}, from 0. */
  static PoisonedProgram ofGradient(ComponentProgram program, int poisonedCall, double factor) {
    return new PoisonedProgram(program, poisonedCall, 1, factor);
  }

  /** Poisons the output of forward number {@code poisonedCall}, from 0. */
  static PoisonedProgram ofValue(ComponentProgram program, int poisonedCall, double factor) {
    return new PoisonedProgram(program, poisonedCall, factor, 1);
  }

  @Override
  public @Nullable Tensor forward(int microBatch, Map<String, Tensor> incoming) {
    Tensor output = program.forward(microBatch, incoming);
    boolean poison = calls++ == poisonedCall;
    return output == null || !poison
        ? output
        : Tensor.from(times(output.value(), valueFactor), new Poison(output, gradientFactor));
  }

  @Override
  public List<Parameter> parameters() {
    return program.parameters();
  }

  @Override
  public long validTokens() {
    return program.validTokens();
  }

  private static NDArray times(NDArray x, double factor) {
    NDArray y = x.copy();
    NDArray factors = NDArray.full(x.device(), x.dtype(), x.shape(), factor);
    y.kernels().binary(BinaryOperation.MULTIPLY, y, factors, y);
    return y;
  }

  /** y is what was made of x; dx = factor dy. */
  private record Poison(Tensor x, double factor) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      return Gradients.of(times(dy, factor));
    }
  }
}
