package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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
    return packedDocuments(qkv, headCount, mask, scale, null, 0);
  }

  /**
   * {@link #packed} with {@link Rotary} applied to the heads of q and k first, <b>overwriting
   * them</b>: {@code qkv} is handed over and must not be read afterwards. (A leaf that requires a
   * gradient is copied, not overwritten.)
   */
  public static Tensor packedRotary(
      Tensor qkv, long headCount, AttentionMask mask, double scale, RotaryTable table) {
    return packedDocuments(qkv, headCount, mask, scale, table, 0);
  }

  /**
   * {@link #packed} or {@link #packedRotary} of sequences that consist of documents, which do not
   * see each other: each is attended to on its own, in place, without padding.
   *
   * @param mask as if each document began at position 0
   * @param table the angles of all positions, or null not to rotate
   * @param starts the first position of each document, ascending, the first one 0
   */
  public static Tensor packedDocuments(
      Tensor qkv,
      long headCount,
      AttentionMask mask,
      double scale,
      @Nullable RotaryTable table,
      long... starts) {
    String operator = table == null ? "Attention.packed" : "Attention.packedRotary";
    checkPacked(operator, qkv, headCount);
    checkStarts(operator, qkv, starts);
    NDArray packed =
        table == null
            ? usable(qkv.value())
            : Rotary.overwritten(qkv, (qkv.dim(2) + headCount) / 2, table);
    return packed(qkv, packed, headCount, mask, scale, table, starts);
  }

  private static Tensor packed(
      Tensor qkv,
      NDArray packed,
      long headCount,
      AttentionMask mask,
      double scale,
      @Nullable RotaryTable table,
      long... starts) {
    NDArray[] parts = split(packed, headCount);
    if (starts.length <= 1) {
      Result result = forward(parts[0], parts[1], parts[2], mask, scale);
      NDArray[] saved = {result.q, result.y, result.logSumExp};
      return Tensor.from(result.y, new SavedPacked(qkv, headCount, saved, List.of(result), table));
    }
    NDArray q = parts[0];
    NDArray y = Matrices.emptyLike(q);
    NDArray logSumExp = Matrices.statistic(q, q.dim(0) * q.dim(2) * q.dim(1));
    List<Result> documents = new ArrayList<>(starts.length);
    for (int i = 0; i < starts.length; i++) {
      long start = starts[i];
      long end = i + 1 < starts.length ? starts[i + 1] : q.dim(1);
      // The statistics of a document are one interval, as the kernel wants them contiguous.
      long each = q.dim(0) * q.dim(2);
      Result document =
          new Result(
              q.slice(1, start, end),
              parts[1].slice(1, start, end),
              parts[2].slice(1, start, end),
              mask,
              scale,
              y.slice(1, start, end),
              logSumExp
                  .slice(0, each * start, each * end)
                  .reshape(q.dim(0), q.dim(2), end - start));
      document.forward();
      documents.add(document);
    }
    return Tensor.from(
        y, new SavedPacked(qkv, headCount, new NDArray[] {q, y, logSumExp}, documents, table));
  }

  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record SavedPacked(
      Tensor qkv,
      long headCount,
      NDArray[] arrays,
      List<Result> documents,
      @Nullable RotaryTable table)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {qkv};
    }

    @Override
    public @Nullable NDArray[] saved() {
      if (table == null) {
        return arrays;
      }
      NDArray[] all = Arrays.copyOf(arrays, arrays.length + 2);
      all[arrays.length] = table.cos();
      all[arrays.length + 1] = table.sin();
      return all;
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray gradient = NDArray.empty(dy.device(), dy.dtype(), qkv.shape());
      NDArray[] parts = split(gradient, headCount);
      long start = 0;
      for (Result document : documents) {
        long end = start + document.q.dim(1);
        document.backward(
            dy.slice(1, start, end),
            parts[0].slice(1, start, end),
            parts[1].slice(1, start, end),
            parts[2].slice(1, start, end));
        start = end;
      }
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

    void forward() {
      q.kernels().attention(q, k, v, mask, scale, y, logSumExp);
    }

    void backward(NDArray dy, NDArray dq, NDArray dk, NDArray dv) {
      dy.kernels().attentionBackward(q, k, v, y, logSumExp, usable(dy), mask, scale, dq, dk, dv);
    }
  }

  private static Result forward(NDArray q, NDArray k, NDArray v, AttentionMask mask, double scale) {
    NDArray y = Matrices.emptyLike(q);
    NDArray logSumExp = Matrices.statistic(q, q.dim(0), q.dim(2), q.dim(1));
    Result result = new Result(q, k, v, mask, scale, y, logSumExp);
    result.forward();
    return result;
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

  private static void checkStarts(String operator, Tensor qkv, long[] starts) {
    boolean fits = starts.length == 0 || starts[0] == 0;
    for (int i = 1; i < starts.length; i++) {
      fits &= starts[i - 1] <= starts[i] && starts[i] <= qkv.dim(1);
    }
    if (!fits) {
      throw new IllegalArgumentException(
          operator
              + ": documents start at "
              + Arrays.toString(starts)
              + "; wanted 0 first, then ascending positions of the "
              + qkv.dim(1)
              + " of qkv "
              + Refusal.name(qkv));
    }
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
