package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * c = op(a) op(b), op the transpose where asked. op(a) [M,K], op(b) [K,N] -> c [M,N], or the same
 * with a leading batch dim on all three.
 *
 * <p>da = dc op(b)ᵀ, or op(b) dcᵀ if a is transposed; db = op(a)ᵀ dc, or dcᵀ op(a) if b is.
 */
public final class MatMul {
  private MatMul() {}

  /** a b: a [M,K] and b [K,N], or a [B,M,K] and b [B,K,N]. */
  public static Tensor matmul(Tensor a, Tensor b) {
    return matmul(a, false, b, false);
  }

  /** op(a) op(b), with op swapping the last two dims where asked. */
  public static Tensor matmul(Tensor a, boolean transposeA, Tensor b, boolean transposeB) {
    check(a, transposeA, b, transposeB);
    NDArray c = product(a.value(), transposeA, b.value(), transposeB);
    return Tensor.from(
        c,
        new Saved(
            a,
            transposeA,
            b,
            transposeB,
            b.requiresGradient() ? a.value() : null,
            a.requiresGradient() ? b.value() : null));
  }

  private record Saved(
      Tensor a,
      boolean transposeA,
      Tensor b,
      boolean transposeB,
      @Nullable NDArray savedA,
      @Nullable NDArray savedB)
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
    public Gradients backward(NDArray dc) {
      return Gradients.of(null, null)
          .later(0, () -> da(dc, Objects.requireNonNull(savedB)), dc, savedB)
          .later(1, () -> db(dc, Objects.requireNonNull(savedA)), dc, savedA);
    }

    private NDArray da(NDArray dc, NDArray valueB) {
      return transposeA
          ? product(valueB, transposeB, dc, true)
          : product(dc, false, valueB, !transposeB);
    }

    private NDArray db(NDArray dc, NDArray valueA) {
      return transposeB
          ? product(dc, true, valueA, transposeA)
          : product(valueA, !transposeA, dc, false);
    }
  }

  /** op(a) op(b) of arrays with any strides: a transposed view becomes a flag, not a copy. */
  static NDArray product(NDArray a, boolean transposeA, NDArray b, boolean transposeB) {
    NDArray left = a;
    NDArray right = b;
    if (isTransposedView(left)) {
      left = left.transpose(-1, -2);
      transposeA = !transposeA;
    }
    if (isTransposedView(right)) {
      right = right.transpose(-1, -2);
      transposeB = !transposeB;
    }
    left = isMatrix(left) ? left : left.contiguous();
    right = isMatrix(right) ? right : right.contiguous();
    long m = left.dim(transposeA ? -1 : -2);
    long n = right.dim(transposeB ? -2 : -1);
    if (left.rank() == 2) {
      NDArray c = NDArray.empty(a.device(), a.dtype(), m, n);
      a.kernels().gemm(left, transposeA, right, transposeB, 1, 0, c);
      return c;
    }
    NDArray c = NDArray.empty(a.device(), a.dtype(), left.dim(0), m, n);
    a.kernels().batchedGemm(left, transposeA, right, transposeB, 1, 0, c);
    return c;
  }

  private static boolean isMatrix(NDArray x) {
    return (x.dim(-1) == 1 || x.stride(-1) == 1) && (x.dim(-2) == 1 || x.stride(-2) >= x.dim(-1));
  }

  private static boolean isTransposedView(NDArray x) {
    return !isMatrix(x) && x.stride(-2) == 1 && x.stride(-1) >= x.dim(-2);
  }

  private static void check(Tensor a, boolean transposeA, Tensor b, boolean transposeB) {
    String operator = "MatMul.matmul";
    if (a.rank() != 2 && a.rank() != 3) {
      throw Refusal.of(
          operator, "a", a, "rank 2 or 3", "Fold further leading dims with Reshape.reshape.");
    }
    long k = a.dim(transposeA ? -2 : -1);
    boolean fits =
        b.rank() == a.rank()
            && b.dim(transposeB ? -1 : -2) == k
            && (a.rank() == 2 || a.dim(0) == b.dim(0));
    if (!fits) {
      String batch = a.rank() == 3 ? a.dim(0) + "," : "";
      throw Refusal.of(
          operator,
          "b",
          b,
          "["
              + batch
              + (transposeB ? "N," + k : k + ",N")
              + "] for a "
              + Refusal.name(a)
              + (transposeA ? " transposed" : ""),
          a.rank() == 3 && b.rank() == 2
              ? "For one matrix shared by the batch use Linear.linear."
              : "The inner sizes, and the batch sizes, must be equal.");
    }
    Refusal.unlessSameType(operator, "b", b, "a", a);
  }
}
