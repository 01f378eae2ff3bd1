package dev.heddle.runtime;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The primitives that every backend implements, for one floating dtype (integer arrays are served
 * where a method says so). Composites live in {@code ops}.
 *
 * <p>Rules for all methods:
 *
 * <ul>
 *   <li>The caller allocates outputs; a kernel writes every element of them, unless it is said to
 *       accumulate ({@code +=}).
 *   <li>Arrays have the dtype of the table unless said otherwise; statistics (means, log-sum-exps)
 *       and optimizer state have its {@link DType#accumulation()} type; sums are formed in it.
 *   <li>"Matrix" means rank 2 and "rows" means all dims but the innermost, taken together. Row
 *       kernels want contiguous arrays unless they say which strides they take; {@code
 *       NDArray.contiguous()} makes one. Strided rows lie a fixed distance apart, at least their
 *       length. An output never has a stride of 0.
 *   <li>Outputs may be the same array as an input only where a method says "in place allowed": then
 *       with the same shape, strides and offset. They overlap inputs in no other way.
 *   <li>Shapes are checked by {@code KernelChecks}: every backend refuses the same misuse with the
 *       same words.
 *   <li>Results do not depend on the number of threads: reductions have a fixed order.
 *   <li>A device that runs behind the host finds a row number out of range after the call has
 *       returned. It then throws from a later call, at the latest from the next one that waits for
 *       it: {@link Device#synchronize()} or the read of a value.
 * </ul>
 *
 * <p>Shape letters: B batch, S sequence (Sq queries, Sk keys), H heads, D head size, R rows, C
 * columns, M N K the sizes of a product.
 */
public interface Kernels {
  /** What this table is, such as {@code vector(256 bit) + oneDNN 3.13}. */
  String name();

  // ---- data movement

  /** y = value. Any dtype, any strides. */
  void fill(NDArray y, double value);

  /**
   * y = x, converted if the dtypes differ (any pair of dtypes, {@link DType#write} rules). Same
   * shape; any strides, stride-0 dims of x included.
   */
  void copy(NDArray x, NDArray y);

  /**
   * y[i,:] = x[rows[i],:]; a negative row gives zeros. x [R,C], y [n,C] (row strides free, columns
   * contiguous), rows [n] of I32 or I64.
   *
   * @throws IndexOutOfBoundsException naming the entry if a row is not below R
   */
  void gatherRows(NDArray x, NDArray rows, NDArray y);

  /**
   * y[rows[i],:] += x[i,:] in the order of i; negative rows are skipped. x [n,C], y [R,C] (row
   * strides free, columns contiguous), rows [n] of I32 or I64.
   *
   * @throws IndexOutOfBoundsException naming the entry if a row is not below R
   */
  void scatterAddRows(NDArray x, NDArray rows, NDArray y);

  /**
   * Row numbers of a whole as those of one part of it, rows {@code first} to {@code first + count -
   * 1} of {@code all}: local[i] = rows[i] - first, or -1 where the row is in another part or
   * negative. rows [n] of I32 or I64, local [n] of I64, both contiguous, of this table's device
   * whatever its dtype.
   *
   * @throws IndexOutOfBoundsException naming the entry if a row is not below {@code all}
   */
  void localRows(NDArray rows, long first, long count, long all, NDArray local);

  // ---- element-wise

  /** y = op(x). Same shape, contiguous; in place allowed. */
  void unary(UnaryOperation op, NDArray x, NDArray y);

  /** dx = op'(x) dy. Same shape, contiguous; dx may be dy. */
  void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx);

  /**
   * y = op(a, b) with numpy broadcasting to y's shape. Any strides for a and b; y contiguous; in
   * place allowed where shapes are equal. MAXIMUM of anything and NaN is NaN.
   */
  void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y);

  /** y = alpha x. Same shape, contiguous; in place allowed. */
  void scale(NDArray x, double alpha, NDArray y);

  /** y += alpha x. Same shape, contiguous; x may be y. */
  void addScaled(NDArray x, double alpha, NDArray y);

  /** y = silu(gate) up. Rows may be strided (columns contiguous) in gate and up; y contiguous. */
  void swiglu(NDArray gate, NDArray up, NDArray y);

  /** Gradients of {@link #swiglu}; dgate and dup may have strided rows. */
  void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup);

  // ---- reductions

  /**
   * y = x summed over the dims that numpy broadcasting of y's shape to x's would stretch: the
   * transpose of broadcasting. x contiguous or rows strided, y contiguous.
   */
  void sumTo(NDArray x, NDArray y);

  /**
   * The sum of squares of all elements of all arrays, in double precision, in list order. Inf and
   * NaN propagate. Waits for the device.
   */
  double sumOfSquares(List<NDArray> arrays);

  /**
   * sum = {@link #sumOfSquares(List)}, without waiting for the device.
   *
   * @param sum one element of F64
   */
  default void sumOfSquares(List<NDArray> arrays, NDArray sum) {
    KernelChecks.sumOfSquares(arrays, sum);
    fill(sum, sumOfSquares(arrays));
  }

  /**
   * For each row the index of the largest element (the first of equals), as I64. x [R,C], y [R].
   */
  void argmaxRows(NDArray x, NDArray y);

  // ---- products

  /**
   * c = alpha op(a) op(b) + beta c with op the transpose where asked. Matrices whose rows may be
   * strided (columns contiguous). op(a) [M,K], op(b) [K,N], c [M,N]. With beta 0, c need not be
   * initialised.
   */
  void gemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c);

  /**
   * {@link #gemm} for each index of the leading dim. Rank 3: a [B,..], b [B,..], c [B,M,N]; the
   * batch stride is free (0 broadcasts a or b).
   */
  void batchedGemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c);

  /**
   * y = activation(x wᵀ + bias). x [R,K] (rows may be strided), w [N,K], bias [N] or null, y [R,N],
   * the latter three contiguous.
   *
   * @param preActivation receives x wᵀ + bias, [R,N], where the activation is not IDENTITY and the
   *     caller needs it for the backward; else null
   */
  void linear(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation);

  /**
   * The gradients of a linear layer's parameters: dw = dzᵀ x, and db the sum of dz's rows. dz [R,N]
   * and x [R,K] (rows may be strided), dw [N,K] and db [N] contiguous. Both outputs are written,
   * not accumulated.
   */
  default void linearParameterGradients(NDArray dz, NDArray x, NDArray dw, NDArray db) {
    gemm(dz, true, x, false, 1, 0, dw);
    sumTo(dz, db);
  }

  // ---- rows: softmax and norms

  /** y = softmax of each row of x; a row of -inf gives zeros. In place allowed. */
  void softmax(NDArray x, NDArray y);

  /** dx = y (dy - Σ dy y) by rows. dx may be dy. */
  void softmaxBackward(NDArray y, NDArray dy, NDArray dx);

  /**
   * y = (x - mean) rstd weight + bias by rows. x, y [..,C]; weight [C]; bias [C] or null; mean and
   * rstd [R] receive the statistics for the backward.
   */
  void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd);

  /**
   * Gradients of {@link #layerNorm}; each output may be null where it is not needed. dweight and
   * dbias are written, not accumulated.
   */
  void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias);

  /** y = x rstd weight with rstd = 1/sqrt(mean(x²) + epsilon) by rows; rstd [R] is kept. */
  void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd);

  /** Gradients of {@link #rmsNorm}; each output may be null where it is not needed. */
  void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight);

  // ---- attention

  /**
   * Rotates pairs (x[d], x[d + D/2]) by the angles whose cosines and sines are given: rotary
   * position embedding (Su et al., "RoFormer", 2021), half-split form. x, y [B,S,H,D] with any
   * strides but a contiguous D; cos, sin [S,D/2] contiguous, of the accumulation type. In place
   * allowed.
   *
   * @param inverse rotate back: the backward
   */
  void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y);

  /**
   * out = softmax(scale q kᵀ, masked) v for each batch and head, without an Sq × Sk array in
   * memory. q [B,Sq,H,D], k [B,Sk,Hk,D], v [B,Sk,Hk,D], out [B,Sq,H,D]; any strides but a
   * contiguous D; H is a multiple of Hk (grouped queries: head h reads h / (H/Hk)).
   *
   * @param logSumExp [B,H,Sq] contiguous, receives log Σ exp of the scaled scores, for the backward
   *     and for merging parts; -inf (and out 0) where a query sees no key
   */
  void attention(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray out,
      NDArray logSumExp);

  /**
   * Gradients of {@link #attention}. dq, dk, dv have the shapes of q, k, v, any strides but a
   * contiguous D (so they may be parts of one packed array), and are written, not accumulated.
   */
  void attentionBackward(
      NDArray q,
      NDArray k,
      NDArray v,
      NDArray out,
      NDArray logSumExp,
      NDArray dout,
      AttentionMask mask,
      double scale,
      NDArray dq,
      NDArray dk,
      NDArray dv);

  // ---- loss

  /**
   * For each row of logits [R,C], which hold classes firstColumn to firstColumn + C - 1 of {@code
   * classes} in all: logSumExp [R] over these columns, and targetLogit [R], the logit of the row's
   * target, or 0 where the target is in other columns or negative (ignored). targets [R] I64.
   *
   * @throws IndexOutOfBoundsException naming the row if a target is not below {@code classes}
   */
  void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit);

  /**
   * dlogits = dloss (exp(logits - logSumExp) - onehot(target)) for rows whose target is not
   * negative, 0 for the others. logSumExp is that of all classes. dlogits may be logits.
   *
   * @param dloss one element of the accumulation type
   */
  void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits);

  // ---- optimizer

  /**
   * One {@link AdamWStep} on a tensor, in place. All contiguous, same shape. {@code weight}, {@code
   * firstMoment}, {@code secondMoment} have the accumulation type; {@code gradient} this table's.
   *
   * @param copy receives the new weight in this table's dtype where that differs (the bf16 weight
   *     of an F32 master), else null
   */
  void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy);

  /**
   * One step on many tensors, in place: what it does to each, it does to that one alone.
   *
   * @param step the numbers; its weight decay is of the tensors that decay
   * @param tensors what is updated, gradients of this table's type
   */
  default void adamW(AdamWStep step, List<AdamWTensor> tensors) {
    AdamWStep plain = step.withoutDecay();
    for (int i = 0; i < tensors.size(); i++) {
      AdamWTensor t = tensors.get(i);
      adamW(
          t.decays() ? step : plain,
          t.weight(),
          t.gradient(),
          t.firstMoment(),
          t.secondMoment(),
          t.copy());
    }
  }

  /**
   * One step on many tensors, with numbers that the device holds: nothing is read by the host where
   * the device computes on its own.
   *
   * @param constants betas, epsilon and weight decay; its other members are not looked at
   * @param tensors what is updated; weight decay is of those that decay
   * @param update four elements of F64: see {@link StepControl}. If GO is 0 nothing is changed
   */
  default void adamW(AdamWStep constants, List<AdamWTensor> tensors, NDArray update) {
    OptimizerChecks.adamW(tensors, update);
    double[] numbers = update.toDoubles();
    if (numbers[StepControl.GO] == 0) {
      return;
    }
    adamW(constants.with(numbers, constants.weightDecay()), tensors);
  }

  /**
   * Ends a training step by the rule of {@link StepControl}; for tables of F64.
   *
   * @param control what the step brought, for some number of optimizers; not changed
   * @param state of as many optimizers, brought up to date
   */
  default void concludeStep(NDArray control, NDArray state) {
    OptimizerChecks.concludeStep(control, state);
    double[] numbers = state.toDoubles();
    StepControl.conclude(control.toDoubles(), numbers);
    state.writeDoubles(numbers);
  }

  // ---- random

  /** y = low + (high - low) u with u the uniform stream by global index. Any strides. */
  void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y);

  /** y = mean + deviation n with n the normal stream by global index. Any strides. */
  void randomNormal(RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y);

  /**
   * y = x / (1 - probability) where the uniform stream is at least {@code probability}, else 0. Its
   * own backward. Contiguous; in place allowed.
   */
  void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y);
}
