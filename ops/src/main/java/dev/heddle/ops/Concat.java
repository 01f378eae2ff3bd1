package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/** y = the parts one after the other along a dim. The gradient of a part is its slice of dy. */
public final class Concat {
  private Concat() {}

  /** {@code parts} joined along {@code dim}; their other sizes must be equal. */
  public static Tensor concat(int dim, Tensor... parts) {
    if (parts.length == 0) {
      throw new IllegalArgumentException("Concat.concat: got no parts; wanted at least one");
    }
    Tensor first = parts[0];
    int joined = first.shape().normalize(dim);
    long total = 0;
    for (int i = 0; i < parts.length; i++) {
      Tensor part = parts[i];
      if (part.rank() != first.rank()
          || !part.shape().with(joined, first.dim(joined)).equals(first.shape())) {
        throw Refusal.of(
            "Concat.concat",
            "part " + i,
            part,
            "the sizes of part 0, " + Refusal.name(first) + ", but along dim " + joined,
            "Only the joined dim may differ.");
      }
      Refusal.unlessSameType("Concat.concat", "part " + i, part, "part 0", first);
      total += part.dim(joined);
    }
    NDArray y = NDArray.empty(first.device(), first.dtype(), first.shape().with(joined, total));
    long start = 0;
    for (Tensor part : parts) {
      long end = start + part.dim(joined);
      y.kernels().copy(part.value(), y.slice(joined, start, end));
      start = end;
    }
    return Tensor.from(y, new Saved(joined, parts.clone()));
  }

  private record Saved(int dim, Tensor[] parts) implements Node {
    @Override
    public Tensor[] inputs() {
      return parts;
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      @Nullable NDArray[] gradients = new @Nullable NDArray[parts.length];
      long start = 0;
      for (int i = 0; i < parts.length; i++) {
        long end = start + parts[i].dim(dim);
        gradients[i] = parts[i].requiresGradient() ? dy.slice(dim, start, end) : null;
        start = end;
      }
      return Gradients.of(gradients);
    }
  }
}
