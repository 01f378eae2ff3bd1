package dev.heddle.autograd;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** A few operators to test the engine with, and what they were asked to do. */
final class Functions {
  /** The name of each node whose backward ran, in order. */
  static final List<String> BACKWARDS = new ArrayList<>();

  private Functions() {}

  /** y = a + b, gradients being dy itself. */
  static Tensor add(Tensor a, Tensor b) {
    return Tensor.from(apply(BinaryOperation.ADD, a.value(), b.value()), new Addition(a, b));
  }

  private record Addition(Tensor a, Tensor b) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {a, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      BACKWARDS.add("add");
      return Gradients.of(dy, dy);
    }

    @Override
    public String operator() {
      return "Add";
    }
  }

  /** y = a b. */
  static Tensor multiply(Tensor a, Tensor b) {
    return Tensor.from(
        apply(BinaryOperation.MULTIPLY, a.value(), b.value()),
        new Product(
            a,
            b,
            b.requiresGradient() ? a.value() : null,
            a.requiresGradient() ? b.value() : null));
  }

  private record Product(Tensor a, Tensor b, @Nullable NDArray savedA, @Nullable NDArray savedB)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {a, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {savedA, savedB};
    }

    @Override
    public Gradients backward(NDArray dy) {
      BACKWARDS.add("multiply");
      return Gradients.of(
          savedB == null ? null : apply(BinaryOperation.MULTIPLY, dy, savedB),
          savedA == null ? null : apply(BinaryOperation.MULTIPLY, dy, savedA));
    }

    @Override
    public String operator() {
      return "Multiply";
    }
  }

  /** y = x w, where the gradient of w can wait. */
  static Tensor weigh(Tensor x, Tensor w) {
    return Tensor.from(
        apply(BinaryOperation.MULTIPLY, x.value(), w.value()),
        new Weighed(x, w, x.value(), x.requiresGradient() ? w.value() : null));
  }

  private record Weighed(Tensor x, Tensor w, NDArray savedX, @Nullable NDArray savedW)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x, w};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {savedX, savedW};
    }

    @Override
    public Gradients backward(NDArray dy) {
      BACKWARDS.add("weigh");
      return Gradients.of(savedW == null ? null : apply(BinaryOperation.MULTIPLY, dy, savedW), null)
          .later(
              1,
              () -> {
                BACKWARDS.add("weight");
                return apply(BinaryOperation.MULTIPLY, dy, savedX);
              },
              dy,
              savedX);
    }

    @Override
    public String operator() {
      return "Weigh";
    }
  }

  /** y = x w + b, where the gradients of w and b can wait, and are best computed at once. */
  static Tensor affine(Tensor x, Tensor w, Tensor b) {
    NDArray product = apply(BinaryOperation.MULTIPLY, x.value(), w.value());
    return Tensor.from(
        apply(BinaryOperation.ADD, product, b.value()),
        new Affine(x, w, b, x.value(), x.requiresGradient() ? w.value() : null));
  }

  private record Affine(Tensor x, Tensor w, Tensor b, NDArray savedX, @Nullable NDArray savedW)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x, w, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {savedX, savedW};
    }

    @Override
    public Gradients backward(NDArray dy) {
      BACKWARDS.add("affine");
      NDArray dx = savedW == null ? null : apply(BinaryOperation.MULTIPLY, dy, savedW);
      return Gradients.of(dx, null, null)
          .later(1, () -> weight(dy, "weight"), dy, savedX)
          .later(2, () -> bias(dy, "bias"), dy)
          .together(
              1,
              2,
              () -> new NDArray[] {weight(dy, "weight and"), bias(dy, "bias at once")},
              dy,
              savedX);
    }

    private NDArray weight(NDArray dy, String name) {
      BACKWARDS.add(name);
      return apply(BinaryOperation.MULTIPLY, dy, savedX);
    }

    private static NDArray bias(NDArray dy, String name) {
      BACKWARDS.add(name);
      return dy.copy();
    }

    @Override
    public String operator() {
      return "Affine";
    }
  }

  /** y = Σ x. */
  static Tensor sum(Tensor x) {
    NDArray y = NDArray.empty(x.device(), x.dtype(), Shape.of(1));
    x.kernels().sumTo(x.value().contiguous(), y);
    return Tensor.from(y, new Total(x));
  }

  private record Total(Tensor x) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      BACKWARDS.add("sum");
      return Gradients.of(dy.expand(x.shape()));
    }

    @Override
    public String operator() {
      return "Sum";
    }
  }

  /** y = x with about half of the elements zeroed. */
  static Tensor dropout(Tensor x, RandomKey key) {
    return Tensor.from(masked(x.value(), key), new Masked(x, key));
  }

  private record Masked(Tensor x, RandomKey key) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      BACKWARDS.add("dropout");
      return Gradients.of(masked(dy, key));
    }
  }

  private static NDArray masked(NDArray x, RandomKey key) {
    NDArray y = NDArray.empty(x.device(), x.dtype(), x.shape());
    x.kernels().dropout(key, GlobalIndex.whole(x.shape()), 0.5, x.contiguous(), y);
    return y;
  }

  /** y = x, with a backward that does as told. */
  static Tensor custom(Tensor x, Function<NDArray, Gradients> backward) {
    return Tensor.from(x.value().copy(), new Custom(x, backward));
  }

  private record Custom(Tensor x, Function<NDArray, Gradients> does) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[] {x.value()};
    }

    @Override
    public Gradients backward(NDArray dy) {
      BACKWARDS.add("custom");
      return does.apply(dy);
    }

    @Override
    public String operator() {
      return "Custom";
    }
  }

  private static NDArray apply(BinaryOperation op, NDArray a, NDArray b) {
    NDArray y = NDArray.empty(a.device(), a.dtype(), Shape.broadcast(a.shape(), b.shape()));
    a.kernels().binary(op, a, b, y);
    return y;
  }
}
