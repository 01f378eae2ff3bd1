package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = p v, p = softmax(scale q kᵀ, masked), for each batch and head (Vaswani et al., "Attention is
 * all you need", 2017), without p in memory (Dao et al., "FlashAttention", 2022). q [B,Sq,H,D], k
 * and v [B,Sk,Hk,D] -> y [B,Sq,H,D]; H is a multiple of Hk.
 *
 * <p>With δ = Σ_d dy y: dv = pᵀ dy; ds = p (dy vᵀ - δ); dq = scale ds k; dk = scale dsᵀ q. p is
 * computed again from q, k and the log-sum-exp of its rows.
 */
public final class Attention {
  private Attention() {}

  /** Attention of queries over keys and values; any strides. */
  public static Tensor attention(Tensor q, Tensor k, Tensor v, AttentionMask mask, double scale) {
    check("Attention.attention", q, k, v);
    Result result = forward(usable(q.value()), usable(k.value()), usable(v.value()), mask, scale);
    return Tensor.from(result.y, new Saved(q, k, v, result));
  }

  private record Saved(Tensor q, Tensor k, Tensor v, Result result) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {q, k, v};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return result.arrays();
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dq = Matrices.emptyLike(result.q);
      NDArray dk = Matrices.emptyLike(result.k);
      NDArray dv = Matrices.emptyLike(result.v);
      result.backward(dy, dq, dk, dv);
      return Gradients.of(
          q.requiresGradient() ? dq : null,
          k.requiresGradient() ? dk : null,
          v.requiresGradient() ? dv : null);
    }
  }

  /**
   * Attention on the result of one projection: {@code qkv} [B,S,H + 2 Hk,D] holds the heads of q,
   * then those of k, then those of v ([B,S,3,H,D] is the same memory). Its gradient is one array
   * too, written in place by parts.
   *
   * @param headCount H
   */
  public static Tensor packed(Tensor qkv, long headCount, AttentionMask mask, double scale) {
    checkPacked("Attention.packed", qkv, headCount);
    return packed(qkv, usable(qkv.value()), headCount, mask, scale, null);
  }

  /**
   * {@link #packed} with {@link Rotary} applied to the heads of q and k first, <b>overwriting
   * them</b>: {@code qkv} is handed over and must not be read afterwards. (A leaf that requires a
   * gradient is copied, not overwritten.)
   */
  public static Tensor packedRotary(
      Tensor qkv, long headCount, AttentionMask mask, double scale, RotaryTable table) {
    checkPacked("Attention.packedRotary", qkv, headCount);
    NDArray packed = qkv.value();
    if (qkv.isLeaf() && qkv.requiresGradient()) {
      packed = packed.copy();
    } else {
      packed = usable(packed);
      // A graph that saved these values must notice that they change.
      packed.block().touch();
    }
    NDArray rotated = packed.slice(2, 0, packed.dim(2) - keyHeads(packed, headCount));
    packed.kernels().rotary(rotated, table.cos(), table.sin(), false, rotated);
    return packed(qkv, packed, headCount, mask, scale, table);
  }

  private static Tensor packed(
      Tensor qkv,
      NDArray packed,
      long headCount,
      AttentionMask mask,
      double scale,
      @Nullable RotaryTable table) {
    NDArray[] parts = split(packed, headCount);
    Result result = forward(parts[0], parts[1], parts[2], mask, scale);
    return Tensor.from(result.y, new SavedPacked(qkv, headCount, result, table));
  }

  private record SavedPacked(Tensor qkv, long headCount, Result result, @Nullable RotaryTable table)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {qkv};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return table == null
          ? new NDArray[] {result.q, result.y, result.logSumExp}
          : new NDArray[] {result.q, result.y, result.logSumExp, table.cos(), table.sin()};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray gradient = NDArray.empty(dy.device(), dy.dtype(), qkv.shape());
      NDArray[] parts = split(gradient, headCount);
      result.backward(dy, parts[0], parts[1], parts[2]);
      if (table != null) {
        NDArray rotated = gradient.slice(2, 0, gradient.dim(2) - keyHeads(gradient, headCount));
        gradient.kernels().rotary(rotated, table.cos(), table.sin(), true, rotated);
      }
      return Gradients.of(gradient);
    }
  }

  /** A forward, with all that its backward reads. */
  private record Result(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray y,
      NDArray logSumExp) {
    NDArray[] arrays() {
      return new NDArray[] {q, k, v, y, logSumExp};
    }

    void backward(NDArray dy, NDArray dq, NDArray dk, NDArray dv) {
      dy.kernels().attentionBackward(q, k, v, y, logSumExp, usable(dy), mask, scale, dq, dk, dv);
    }
  }

  private static Result forward(NDArray q, NDArray k, NDArray v, AttentionMask mask, double scale) {
    NDArray y = Matrices.emptyLike(q);
    NDArray logSumExp = Matrices.statistic(q, q.dim(0), q.dim(2), q.dim(1));
    q.kernels().attention(q, k, v, mask, scale, y, logSumExp);
    return new Result(q, k, v, mask, scale, y, logSumExp);
  }

  private static long keyHeads(NDArray packed, long headCount) {
    return (packed.dim(2) - headCount) / 2;
  }

  private static NDArray[] split(NDArray packed, long headCount) {
    long keyHeads = keyHeads(packed, headCount);
    return new NDArray[] {
      packed.slice(2, 0, headCount),
      packed.slice(2, headCount, headCount + keyHeads),
      packed.slice(2, headCount + keyHeads, packed.dim(2))
    };
  }

  /** {@code x} with contiguous heads: itself where it has them. */
  static NDArray usable(NDArray x) {
    return x.dim(-1) == 1 || x.stride(-1) == 1 ? x : x.contiguous();
  }

  private static void check(String operator, Tensor q, Tensor k, Tensor v) {
    String hint = "Split heads with Reshape.reshape; H must be a multiple of Hk.";
    if (q.rank() != 4) {
      throw Refusal.of(operator, "q", q, "[B,Sq,H,D]", hint);
    }
    boolean fits =
        k.rank() == 4
            && k.dim(0) == q.dim(0)
            && k.dim(3) == q.dim(3)
            && k.dim(2) > 0
            && q.dim(2) % k.dim(2) == 0;
    if (!fits) {
      throw Refusal.of(
          operator,
          "k",
          k,
          "[" + q.dim(0) + ",Sk,Hk," + q.dim(3) + "] for q " + Refusal.name(q),
          hint);
    }
    if (!v.shape().equals(k.shape())) {
      throw Refusal.of(operator, "v", v, "the shape of k, " + k.shape(), hint);
    }
    Refusal.unlessSameType(operator, "k", k, "q", q);
    Refusal.unlessSameType(operator, "v", v, "q", q);
  }

  private static void checkPacked(String operator, Tensor qkv, long headCount) {
    boolean fits = qkv.rank() == 4 && headCount > 0 && qkv.dim(2) > headCount;
    long keyHeads = fits ? keyHeads(qkv.value(), headCount) : 0;
    if (!fits || headCount + 2 * keyHeads != qkv.dim(2) || headCount % keyHeads != 0) {
      throw Refusal.of(
          operator,
          "qkv",
          qkv,
          "[B,S," + headCount + " + 2 Hk,D] for " + headCount + " heads, a multiple of Hk",
          "Heads of q come first, then those of k, then those of v.");
    }
  }
}
