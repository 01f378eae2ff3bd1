package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** y = f(x) element by element. dx = f'(x) dy. The one node behind Gelu, Silu, Relu, Exp... */
final class Unary {
  private Unary() {}

  static Tensor apply(UnaryOperation f, Tensor x) {
    NDArray input = x.value().contiguous();
    NDArray y = Matrices.emptyLike(input);
    x.kernels().unary(f, input, y);
    return Tensor.from(y, new Saved(f, x, input));
  }

  private record Saved(UnaryOperation f, Tensor x, NDArray input) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[] {input};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dx = Matrices.emptyLike(dy);
      dy.kernels().unaryBackward(f, input, dy.contiguous(), dx);
      return Gradients.of(dx);
    }

    @Override
    public String operator() {
      String name = f.name();
      return name.charAt(0) + name.substring(1).toLowerCase(Locale.ROOT);
    }
  }
}
