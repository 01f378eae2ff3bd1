package dev.heddle.ops;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * y = f(z), z = x wᵀ + b. x [..,K], w [N,K], b [N] or none -> y [..,N].
 *
 * <p>dz = f'(z) dy; dx = dz w; dw = dzᵀ x; db = Σ_rows dz.
 */
public final class Linear {
  private Linear() {}

  /** x wᵀ + b. */
  public static Tensor linear(Tensor x, Tensor w, @Nullable Tensor b) {
    return linear(x, w, b, UnaryOperation.IDENTITY);
  }

  /**
   * f(x wᵀ + b), in one kernel.
   *
   * @param w [N,K]; more dims, such as [3,N/3,K] of a packed projection, count as one N
   * @param b [N] with its dims cut as those of {@code w}, or null
   * @param f applied to each element
   */
  public static Tensor linear(Tensor x, Tensor w, @Nullable Tensor b, UnaryOperation f) {
    check(x, w, b);
    NDArray rows = Matrices.rows(x.value());
    NDArray weight = Matrices.rows(w.value()).contiguous();
    NDArray bias = b == null ? null : b.value().reshape(b.value().size()).contiguous();
    long n = weight.dim(0);
    NDArray y = NDArray.empty(x.device(), x.dtype(), rows.dim(0), n);
    boolean keepsZ = f != UnaryOperation.IDENTITY && GradientMode.isRecording(x, w, b);
    NDArray z = keepsZ ? Matrices.emptyLike(y) : null;
    x.kernels().linear(rows, weight, bias, f, y, z);
    return Tensor.from(
        y.reshape(x.shape().with(-1, n)),
        new Saved(
            x,
            w,
            b,
            f,
            rows.shape(),
            weight.shape(),
            w.requiresGradient() ? rows : null,
            x.requiresGradient() ? weight : null,
            z));
  }

  private record Saved(
      Tensor x,
      Tensor w,
      @Nullable Tensor b,
      UnaryOperation f,
      Shape rowsShape,
      Shape weightShape,
      @Nullable NDArray rows,
      @Nullable NDArray weight,
      @Nullable NDArray z)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return b == null ? new Tensor[] {x, w} : new Tensor[] {x, w, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {rows, weight, z};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dz = throughF(Matrices.rows(dy));
      NDArray dx = null;
      if (weight != null) {
        dx = NDArray.empty(dz.device(), dz.dtype(), rowsShape);
        dz.kernels().gemm(dz, false, weight, false, 1, 0, dx);
        dx = dx.reshape(x.shape());
      }
      return b == null
          ? Gradients.of(dx, null).later(1, () -> dw(dz), dz, rows)
          : Gradients.of(dx, null, null)
              .later(1, () -> dw(dz), dz, rows)
              .later(2, () -> db(dz, b), dz)
              .together(1, 2, () -> both(dz, b), dz, rows);
    }

    private NDArray throughF(NDArray dy) {
      if (z == null) {
        return dy;
      }
      NDArray dz = Matrices.emptyLike(z);
      dy.kernels().unaryBackward(f, z, dy.contiguous(), dz);
      return dz;
    }

    private NDArray dw(NDArray dz) {
      NDArray dw = NDArray.empty(dz.device(), dz.dtype(), weightShape);
      dz.kernels().gemm(dz, true, Objects.requireNonNull(rows), false, 1, 0, dw);
      return dw.reshape(w.shape());
    }

    private NDArray[] both(NDArray dz, Tensor b) {
      NDArray dw = NDArray.empty(dz.device(), dz.dtype(), weightShape);
      NDArray db = NDArray.empty(dz.device(), dz.dtype(), b.shape());
      NDArray from = Objects.requireNonNull(rows);
      dz.kernels().linearParameterGradients(dz, from, dw, db.reshape(db.size()));
      return new NDArray[] {dw.reshape(w.shape()), db};
    }

    private static NDArray db(NDArray dz, Tensor b) {
      NDArray db = NDArray.empty(dz.device(), dz.dtype(), b.shape());
      dz.kernels().sumTo(dz, db.reshape(db.size()));
      return db;
    }
  }

  private static void check(Tensor x, Tensor w, @Nullable Tensor b) {
    String operator = "Linear.linear";
    if (x.rank() < 1) {
      throw Refusal.of(operator, "x", x, "[..,K]", "Give it a feature dim with Reshape.reshape.");
    }
    if (w.rank() < 2 || w.dim(-1) != x.dim(-1)) {
      throw Refusal.of(
          operator,
          "w",
          w,
          "[N," + x.dim(-1) + "] for x " + Refusal.name(x),
          "Weights are stored [out, in].");
    }
    Refusal.unlessSameType(operator, "w", w, "x", x);
    if (b != null) {
      if (b.value().size() != w.shape().rows()) {
        throw Refusal.of(
            operator,
            "b",
            b,
            "[" + w.shape().rows() + "] for w " + Refusal.name(w),
            "There is one bias an output feature.");
      }
      Refusal.unlessSameType(operator, "b", b, "x", x);
    }
  }
}
