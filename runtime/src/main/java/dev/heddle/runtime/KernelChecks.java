package dev.heddle.runtime;

import static dev.heddle.runtime.ArgumentChecks.columnVector;
import static dev.heddle.runtime.ArgumentChecks.contiguous;
import static dev.heddle.runtime.ArgumentChecks.contiguousColumns;
import static dev.heddle.runtime.ArgumentChecks.contiguousLike;
import static dev.heddle.runtime.ArgumentChecks.device;
import static dev.heddle.runtime.ArgumentChecks.distinct;
import static dev.heddle.runtime.ArgumentChecks.dtype;
import static dev.heddle.runtime.ArgumentChecks.floating;
import static dev.heddle.runtime.ArgumentChecks.hasColumns;
import static dev.heddle.runtime.ArgumentChecks.inPlace;
import static dev.heddle.runtime.ArgumentChecks.isBroadcastOf;
import static dev.heddle.runtime.ArgumentChecks.like;
import static dev.heddle.runtime.ArgumentChecks.live;
import static dev.heddle.runtime.ArgumentChecks.matrix;
import static dev.heddle.runtime.ArgumentChecks.matrixStrides;
import static dev.heddle.runtime.ArgumentChecks.rank;
import static dev.heddle.runtime.ArgumentChecks.refuse;
import static dev.heddle.runtime.ArgumentChecks.rowStatistic;
import static dev.heddle.runtime.ArgumentChecks.sameShape;
import static dev.heddle.runtime.ArgumentChecks.statistic;
import static dev.heddle.runtime.ArgumentChecks.stridedLike;
import static dev.heddle.runtime.ArgumentChecks.stridedRows;
import static dev.heddle.runtime.ArgumentChecks.vector;
import static dev.heddle.runtime.ArgumentChecks.writable;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What every backend's {@link Kernels} call before they compute, one method a primitive with the
 * primitive's own parameters: device, dtype, shape, strides and sharing of memory of every
 * argument. So a misuse is refused by all backends with the same words. A met check allocates
 * nothing.
 *
 * <p>Those of the optimizer are in {@link OptimizerChecks}.
 *
 * <p>All throw {@link IllegalArgumentException}, and {@link IllegalStateException} for an array
 * whose memory was given back. Values are not looked at: row and target numbers are checked by the
 * kernel that reads them.
 */
public final class KernelChecks {
  private KernelChecks() {}

  /**
   * Elements between the rows of {@code x} (all dims but the innermost, taken together), or -1 if
   * they are not evenly spaced. Rank 1 or more; a single row counts as gapless.
   */
  public static long rowStride(NDArray x) {
    if (x.isContiguous()) {
      return x.dim(-1);
    }
    long stride = -1;
    long expected = 0;
    for (int i = x.rank() - 2; i >= 0; i--) {
      long size = x.dim(i);
      if (size == 1) {
        continue;
      }
      if (stride < 0) {
        stride = x.stride(i);
        expected = stride * size;
      } else if (x.stride(i) != expected) {
        return -1;
      } else {
        expected *= size;
      }
    }
    return stride < 0 ? x.dim(-1) : stride;
  }

  /**
   * That {@code x} has the dtype of the table it was given to.
   *
   * @param argument the argument's name in the kernel's signature
   */
  public static void tableType(String kernel, String argument, NDArray x, DType table) {
    if (x.dtype() != table) {
      throw refuse(
          "%s: %s is %s, given to the kernels for %s; use device.kernels(%s)",
          kernel, argument, x.dtype(), table, x.dtype());
    }
  }

  // ---- data movement

  /** Checks the arguments of {@link Kernels#fill}. */
  public static void fill(NDArray y, double value) {
    live(y);
  }

  /** Checks the arguments of {@link Kernels#copy}. */
  public static void copy(NDArray x, NDArray y) {
    live(x);
    device("copy", "y", y, "x", x);
    sameShape("copy", "y", y, "x", x);
    writable("copy", "y", y);
    distinct("copy", "y", y, "x", x);
  }

  /** Checks the arguments of {@link Kernels#gatherRows}. */
  public static void gatherRows(NDArray x, NDArray rows, NDArray y) {
    String kernel = "gatherRows";
    live(x);
    like(kernel, "y", y, "x", x);
    rank(kernel, "x", x, 2);
    contiguousColumns(kernel, "x", x);
    rowNumbers(kernel, rows, x);
    matrix(kernel, "y", y, rows.dim(0), x.dim(1), "the rows asked for by the columns of x");
    contiguousColumns(kernel, "y", y);
    writable(kernel, "y", y);
    distinct(kernel, "y", y, "x", x);
  }

  /** Checks the arguments of {@link Kernels#scatterAddRows}. */
  public static void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    String kernel = "scatterAddRows";
    floating(kernel, "x", x);
    like(kernel, "y", y, "x", x);
    rank(kernel, "y", y, 2);
    contiguousColumns(kernel, "y", y);
    writable(kernel, "y", y);
    rowNumbers(kernel, rows, x);
    matrix(kernel, "x", x, rows.dim(0), y.dim(1), "a row for each entry of rows, the columns of y");
    contiguousColumns(kernel, "x", x);
    distinct(kernel, "y", y, "x", x);
  }

  /** Checks the arguments of {@link Kernels#localRows}. */
  public static void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    String kernel = "localRows";
    rowNumbers(kernel, rows, local);
    if (local.dtype() != DType.I64) {
      throw refuse("%s: local is %s; wanted I64", kernel, local.dtype());
    }
    vector(kernel, "local", local, rows.dim(0), "a number for each entry of rows");
    contiguous(kernel, "local", local);
    distinct(kernel, "local", local, "rows", rows);
    if (first < 0 || count < 0 || first > all - count) {
      throw refuse(
          "%s: rows %s to %s of %s; wanted a part of them", kernel, first, first + count, all);
    }
  }

  private static void rowNumbers(String kernel, NDArray rows, NDArray x) {
    device(kernel, "rows", rows, "x", x);
    if (rows.dtype() != DType.I32 && rows.dtype() != DType.I64) {
      throw refuse("%s: rows is %s; wanted I32 or I64", kernel, rows.dtype());
    }
    rank(kernel, "rows", rows, 1);
    contiguous(kernel, "rows", rows);
  }

  // ---- element-wise

  /** Checks the arguments of {@link Kernels#unary}. */
  public static void unary(UnaryOperation op, NDArray x, NDArray y) {
    pair("unary", x, y);
  }

  /** Checks the arguments of {@link Kernels#unaryBackward}. */
  public static void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    String kernel = "unaryBackward";
    floating(kernel, "x", x);
    contiguous(kernel, "x", x);
    contiguousLike(kernel, "dy", dy, "x", x);
    contiguousLike(kernel, "dx", dx, "x", x);
    distinct(kernel, "dx", dx, "x", x);
    inPlace(kernel, "dx", dx, "dy", dy);
  }

  /** Checks the arguments of {@link Kernels#binary}. */
  public static void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    String kernel = "binary";
    floating(kernel, "a", a);
    like(kernel, "b", b, "a", a);
    like(kernel, "y", y, "a", a);
    contiguous(kernel, "y", y);
    if (!isBroadcastOf(a.shape(), b.shape(), y.shape())) {
      throw refuse(
          "%s: a is %s and b is %s, which do not broadcast to y, %s: sizes aligned at the "
              + "innermost dim must be equal or 1",
          kernel, a.shape(), b.shape(), y.shape());
    }
    inPlace(kernel, "y", y, "a", a);
    inPlace(kernel, "y", y, "b", b);
  }

  /** Checks the arguments of {@link Kernels#scale}. */
  public static void scale(NDArray x, double alpha, NDArray y) {
    pair("scale", x, y);
  }

  /** Checks the arguments of {@link Kernels#addScaled}. */
  public static void addScaled(NDArray x, double alpha, NDArray y) {
    pair("addScaled", x, y);
  }

  private static void pair(String kernel, NDArray x, NDArray y) {
    floating(kernel, "x", x);
    contiguous(kernel, "x", x);
    contiguousLike(kernel, "y", y, "x", x);
    inPlace(kernel, "y", y, "x", x);
  }

  /** Checks the arguments of {@link Kernels#swiglu}. */
  public static void swiglu(NDArray gate, NDArray up, NDArray y) {
    String kernel = "swiglu";
    gateAndUp(kernel, gate, up);
    contiguousLike(kernel, "y", y, "gate", gate);
    distinct(kernel, "y", y, "gate", gate);
    distinct(kernel, "y", y, "up", up);
  }

  /** Checks the arguments of {@link Kernels#swigluBackward}. */
  public static void swigluBackward(
      NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    String kernel = "swigluBackward";
    gateAndUp(kernel, gate, up);
    contiguousLike(kernel, "dy", dy, "gate", gate);
    stridedLike(kernel, "dgate", dgate, "gate", gate);
    stridedLike(kernel, "dup", dup, "gate", gate);
    distinct(kernel, "dgate", dgate, "gate", gate);
    distinct(kernel, "dgate", dgate, "up", up);
    distinct(kernel, "dgate", dgate, "dy", dy);
    distinct(kernel, "dup", dup, "gate", gate);
    distinct(kernel, "dup", dup, "up", up);
    distinct(kernel, "dup", dup, "dy", dy);
    distinct(kernel, "dup", dup, "dgate", dgate);
  }

  private static void gateAndUp(String kernel, NDArray gate, NDArray up) {
    floating(kernel, "gate", gate);
    hasColumns(kernel, "gate", gate);
    stridedRows(kernel, "gate", gate);
    stridedLike(kernel, "up", up, "gate", gate);
  }

  // ---- reductions

  /** Checks the arguments of {@link Kernels#sumTo}. */
  public static void sumTo(NDArray x, NDArray y) {
    String kernel = "sumTo";
    floating(kernel, "x", x);
    like(kernel, "y", y, "x", x);
    if (x.rank() > 0) {
      stridedRows(kernel, "x", x);
    }
    contiguous(kernel, "y", y);
    if (!isBroadcastOf(x.shape(), y.shape(), x.shape())) {
      throw refuse(
          "%s: y is %s, which does not broadcast to x, %s: its sizes, aligned at the "
              + "innermost dim, must be those of x or 1",
          kernel, y.shape(), x.shape());
    }
    distinct(kernel, "y", y, "x", x);
  }

  /** Checks the arguments of {@link Kernels#sumOfSquares(List)}. */
  public static void sumOfSquares(List<NDArray> arrays) {
    for (int i = 0; i < arrays.size(); i++) {
      NDArray array = arrays.get(i);
      floating("sumOfSquares", "an array", array);
      if (array.device() != arrays.get(0).device()) {
        device("sumOfSquares", "array " + i, array, "array 0", arrays.get(0));
      }
      if (!array.isContiguous()) {
        contiguous("sumOfSquares", "array " + i, array);
      }
    }
  }

  /** Checks the arguments of {@link Kernels#sumOfSquares(List, NDArray)}. */
  public static void sumOfSquares(List<NDArray> arrays, NDArray sum) {
    sumOfSquares(arrays);
    if (!arrays.isEmpty()) {
      device("sumOfSquares", "sum", sum, "an array", arrays.get(0));
    }
    dtype("sumOfSquares", "sum", sum, DType.F64);
    oneElement("sumOfSquares", "sum", sum);
  }

  private static void oneElement(String kernel, String name, NDArray x) {
    if (x.size() != 1) {
      throw refuse("%s: %s is %s; wanted one element", kernel, name, x.shape());
    }
  }

  /** Checks the arguments of {@link Kernels#argmaxRows}. */
  public static void argmaxRows(NDArray x, NDArray y) {
    String kernel = "argmaxRows";
    floating(kernel, "x", x);
    rank(kernel, "x", x, 2);
    contiguous(kernel, "x", x);
    if (x.dim(1) == 0 && x.dim(0) > 0) {
      throw refuse("%s: x is %s; wanted at least one column", kernel, x.shape());
    }
    device(kernel, "y", y, "x", x);
    dtype(kernel, "y", y, DType.I64);
    vector(kernel, "y", y, x.dim(0), "one index a row of x");
    contiguous(kernel, "y", y);
  }

  // ---- products

  /** Checks the arguments of {@link Kernels#gemm}. */
  public static void gemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    product("gemm", 2, a, transposeA, b, transposeB, c);
  }

  /** Checks the arguments of {@link Kernels#batchedGemm}. */
  public static void batchedGemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    String kernel = "batchedGemm";
    product(kernel, 3, a, transposeA, b, transposeB, c);
    if (a.dim(0) != b.dim(0) || a.dim(0) != c.dim(0)) {
      throw refuse(
          "%s: a is %s, b is %s and c is %s: their leading (batch) sizes must be equal",
          kernel, a.shape(), b.shape(), c.shape());
    }
  }

  private static void product(
      String kernel,
      int rank,
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      NDArray c) {
    floating(kernel, "a", a);
    like(kernel, "b", b, "a", a);
    like(kernel, "c", c, "a", a);
    rank(kernel, "a", a, rank);
    rank(kernel, "b", b, rank);
    rank(kernel, "c", c, rank);
    long m = a.dim(transposeA ? -1 : -2);
    long k = a.dim(transposeA ? -2 : -1);
    long innerB = b.dim(transposeB ? -1 : -2);
    long n = b.dim(transposeB ? -2 : -1);
    if (k != innerB) {
      throw refuse(
          "%s: op(a) is [%s,%s] and op(b) is [%s,%s]: inner sizes %s and %s must be equal",
          kernel, m, k, innerB, n, k, innerB);
    }
    if (c.dim(-2) != m || c.dim(-1) != n) {
      throw refuse(
          "%s: c is %s, op(a) is [%s,%s] and op(b) is [%s,%s]; wanted a c of [%s,%s]",
          kernel, c.shape(), m, k, k, n, m, n);
    }
    matrixStrides(kernel, "a", a);
    matrixStrides(kernel, "b", b);
    matrixStrides(kernel, "c", c);
    writable(kernel, "c", c);
    distinct(kernel, "c", c, "a", a);
    distinct(kernel, "c", c, "b", b);
  }

  /** Checks the arguments of {@link Kernels#linear}. */
  public static void linear(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation) {
    String kernel = "linear";
    floating(kernel, "x", x);
    like(kernel, "w", w, "x", x);
    like(kernel, "y", y, "x", x);
    rank(kernel, "x", x, 2);
    rank(kernel, "w", w, 2);
    if (x.dim(1) != w.dim(1)) {
      throw refuse(
          "%s: x is %s and w is %s: inner sizes %s and %s must be equal",
          kernel, x.shape(), w.shape(), x.dim(1), w.dim(1));
    }
    matrixStrides(kernel, "x", x);
    contiguous(kernel, "w", w);
    matrix(kernel, "y", y, x.dim(0), w.dim(0), "the rows of x by the rows of w");
    contiguous(kernel, "y", y);
    distinct(kernel, "y", y, "x", x);
    distinct(kernel, "y", y, "w", w);
    if (bias != null) {
      like(kernel, "bias", bias, "x", x);
      vector(kernel, "bias", bias, w.dim(0), "one value a row of w");
      contiguous(kernel, "bias", bias);
      distinct(kernel, "y", y, "bias", bias);
    }
    if (preActivation != null) {
      if (activation == UnaryOperation.IDENTITY) {
        throw refuse(
            "%s: preActivation is given but the activation is IDENTITY: it would equal y; pass "
                + "null",
            kernel);
      }
      contiguousLike(kernel, "preActivation", preActivation, "y", y);
      distinct(kernel, "preActivation", preActivation, "y", y);
      distinct(kernel, "preActivation", preActivation, "x", x);
      distinct(kernel, "preActivation", preActivation, "w", w);
    }
  }

  // ---- rows: softmax and norms

  /** Checks the arguments of {@link Kernels#softmax}. */
  public static void softmax(NDArray x, NDArray y) {
    hasColumns("softmax", "x", x);
    pair("softmax", x, y);
  }

  /** Checks the arguments of {@link Kernels#softmaxBackward}. */
  public static void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    String kernel = "softmaxBackward";
    floating(kernel, "y", y);
    hasColumns(kernel, "y", y);
    contiguous(kernel, "y", y);
    contiguousLike(kernel, "dy", dy, "y", y);
    contiguousLike(kernel, "dx", dx, "y", y);
    distinct(kernel, "dx", dx, "y", y);
    inPlace(kernel, "dx", dx, "dy", dy);
  }

  /** Checks the arguments of {@link Kernels#layerNorm}. */
  public static void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd) {
    String kernel = "layerNorm";
    normInputs(kernel, x, weight);
    if (bias != null) {
      columnVector(kernel, "bias", bias, x);
    }
    contiguousLike(kernel, "y", y, "x", x);
    distinct(kernel, "y", y, "x", x);
    rowStatistic(kernel, "mean", mean, "x", x);
    rowStatistic(kernel, "rstd", rstd, "x", x);
    distinct(kernel, "rstd", rstd, "mean", mean);
  }

  /** Checks the arguments of {@link Kernels#layerNormBackward}. */
  public static void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    String kernel = "layerNormBackward";
    normInputs(kernel, x, weight);
    rowStatistic(kernel, "mean", mean, "x", x);
    rowStatistic(kernel, "rstd", rstd, "x", x);
    contiguousLike(kernel, "dy", dy, "x", x);
    normGradients(kernel, x, weight, dy, dx, dweight);
    if (dbias != null) {
      columnVector(kernel, "dbias", dbias, x);
      if (dweight != null) {
        distinct(kernel, "dbias", dbias, "dweight", dweight);
      }
    }
  }

  /** Checks the arguments of {@link Kernels#rmsNorm}. */
  public static void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    String kernel = "rmsNorm";
    normInputs(kernel, x, weight);
    contiguousLike(kernel, "y", y, "x", x);
    distinct(kernel, "y", y, "x", x);
    rowStatistic(kernel, "rstd", rstd, "x", x);
  }

  /** Checks the arguments of {@link Kernels#rmsNormBackward}. */
  public static void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    String kernel = "rmsNormBackward";
    normInputs(kernel, x, weight);
    rowStatistic(kernel, "rstd", rstd, "x", x);
    contiguousLike(kernel, "dy", dy, "x", x);
    normGradients(kernel, x, weight, dy, dx, dweight);
  }

  private static void normInputs(String kernel, NDArray x, NDArray weight) {
    floating(kernel, "x", x);
    hasColumns(kernel, "x", x);
    contiguous(kernel, "x", x);
    columnVector(kernel, "weight", weight, x);
  }

  private static void normGradients(
      String kernel,
      NDArray x,
      NDArray weight,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    if (dx != null) {
      contiguousLike(kernel, "dx", dx, "x", x);
      distinct(kernel, "dx", dx, "x", x);
      distinct(kernel, "dx", dx, "dy", dy);
    }
    if (dweight != null) {
      columnVector(kernel, "dweight", dweight, x);
      distinct(kernel, "dweight", dweight, "weight", weight);
    }
  }

  // ---- attention

  /** Checks the arguments of {@link Kernels#rotary}. */
  public static void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    String kernel = "rotary";
    floating(kernel, "x", x);
    heads(kernel, "x", x);
    if (x.dim(3) % 2 != 0) {
      throw refuse(
          "%s: x is %s with head size %s; wanted an even one", kernel, x.shape(), x.dim(3));
    }
    angles(kernel, "cos", cos, x);
    angles(kernel, "sin", sin, x);
    like(kernel, "y", y, "x", x);
    sameShape(kernel, "y", y, "x", x);
    headOutput(kernel, "y", y);
    inPlace(kernel, "y", y, "x", x);
  }

  private static void angles(String kernel, String name, NDArray angles, NDArray x) {
    statistic(kernel, name, angles, "x", x);
    matrix(kernel, name, angles, x.dim(1), x.dim(3) / 2, "sequence length by half the head size");
    contiguous(kernel, name, angles);
  }

  private static void heads(String kernel, String name, NDArray x) {
    rank(kernel, name, x, 4);
    contiguousColumns(kernel, name, x);
  }

  private static void headOutput(String kernel, String name, NDArray y) {
    contiguousColumns(kernel, name, y);
    writable(kernel, name, y);
  }

  /** Checks the arguments of {@link Kernels#attention}. */
  public static void attention(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray out,
      NDArray logSumExp) {
    String kernel = "attention";
    attentionInputs(kernel, q, k, v);
    like(kernel, "out", out, "q", q);
    sameShape(kernel, "out", out, "q", q);
    headOutput(kernel, "out", out);
    distinct(kernel, "out", out, "q", q);
    distinct(kernel, "out", out, "k", k);
    distinct(kernel, "out", out, "v", v);
    logSumExpOfHeads(kernel, logSumExp, q);
  }

  /** Checks the arguments of {@link Kernels#attentionBackward}. */
  public static void attentionBackward(
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
      NDArray dv) {
    String kernel = "attentionBackward";
    attentionInputs(kernel, q, k, v);
    like(kernel, "out", out, "q", q);
    sameShape(kernel, "out", out, "q", q);
    contiguousColumns(kernel, "out", out);
    logSumExpOfHeads(kernel, logSumExp, q);
    like(kernel, "dout", dout, "q", q);
    sameShape(kernel, "dout", dout, "q", q);
    contiguousColumns(kernel, "dout", dout);
    attentionGradient(kernel, "dq", dq, "q", q, dout);
    attentionGradient(kernel, "dk", dk, "k", k, dout);
    attentionGradient(kernel, "dv", dv, "v", v, dout);
    distinct(kernel, "dk", dk, "dq", dq);
    distinct(kernel, "dv", dv, "dq", dq);
    distinct(kernel, "dv", dv, "dk", dk);
  }

  private static void attentionInputs(String kernel, NDArray q, NDArray k, NDArray v) {
    floating(kernel, "q", q);
    like(kernel, "k", k, "q", q);
    like(kernel, "v", v, "q", q);
    heads(kernel, "q", q);
    heads(kernel, "k", k);
    heads(kernel, "v", v);
    sameShape(kernel, "v", v, "k", k);
    if (q.dim(0) != k.dim(0) || q.dim(3) != k.dim(3)) {
      throw refuse(
          "%s: q is %s and k is %s: batch (first) and head size (last) must be equal",
          kernel, q.shape(), k.shape());
    }
    long heads = q.dim(2);
    long keyHeads = k.dim(2);
    if (keyHeads == 0 ? heads != 0 : heads % keyHeads != 0) {
      throw refuse(
          "%s: q has %s heads and k has %s: the former must be a multiple of the latter",
          kernel, heads, keyHeads);
    }
  }

  private static void attentionGradient(
      String kernel, String name, NDArray gradient, String otherName, NDArray x, NDArray dout) {
    like(kernel, name, gradient, otherName, x);
    sameShape(kernel, name, gradient, otherName, x);
    headOutput(kernel, name, gradient);
    distinct(kernel, name, gradient, otherName, x);
    distinct(kernel, name, gradient, "dout", dout);
  }

  private static void logSumExpOfHeads(String kernel, NDArray logSumExp, NDArray q) {
    statistic(kernel, "logSumExp", logSumExp, "q", q);
    if (logSumExp.rank() != 3
        || logSumExp.dim(0) != q.dim(0)
        || logSumExp.dim(1) != q.dim(2)
        || logSumExp.dim(2) != q.dim(1)) {
      throw refuse(
          "%s: logSumExp is %s; wanted [%s,%s,%s], batch by heads by queries of q %s",
          kernel, logSumExp.shape(), q.dim(0), q.dim(2), q.dim(1), q.shape());
    }
    contiguous(kernel, "logSumExp", logSumExp);
  }

  // ---- loss

  /** Checks the arguments of {@link Kernels#crossEntropy}, but for the targets' values. */
  public static void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    String kernel = "crossEntropy";
    logitsAndTargets(kernel, logits, targets, firstColumn);
    if (classes - firstColumn < logits.dim(1)) {
      throw refuse(
          "%s: classes is %s; wanted at least %s, those up to the last column of logits",
          kernel, classes, firstColumn + logits.dim(1));
    }
    rowStatistic(kernel, "logSumExp", logSumExp, "logits", logits);
    rowStatistic(kernel, "targetLogit", targetLogit, "logits", logits);
    distinct(kernel, "targetLogit", targetLogit, "logSumExp", logSumExp);
  }

  /** Checks the arguments of {@link Kernels#crossEntropyBackward}. */
  public static void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits) {
    String kernel = "crossEntropyBackward";
    logitsAndTargets(kernel, logits, targets, firstColumn);
    rowStatistic(kernel, "logSumExp", logSumExp, "logits", logits);
    device(kernel, "dloss", dloss, "logits", logits);
    dtype(kernel, "dloss", dloss, logits.dtype().accumulation());
    oneElement(kernel, "dloss", dloss);
    contiguousLike(kernel, "dlogits", dlogits, "logits", logits);
    inPlace(kernel, "dlogits", dlogits, "logits", logits);
  }

  private static void logitsAndTargets(
      String kernel, NDArray logits, NDArray targets, long firstColumn) {
    floating(kernel, "logits", logits);
    rank(kernel, "logits", logits, 2);
    contiguous(kernel, "logits", logits);
    device(kernel, "targets", targets, "logits", logits);
    dtype(kernel, "targets", targets, DType.I64);
    vector(kernel, "targets", targets, logits.dim(0), "one class a row of logits");
    contiguous(kernel, "targets", targets);
    if (firstColumn < 0) {
      throw refuse("%s: firstColumn is %s; wanted 0 or more", kernel, firstColumn);
    }
  }

  // ---- random

  /** Checks the arguments of {@link Kernels#randomUniform}. */
  public static void randomUniform(
      RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    String kernel = "randomUniform";
    floating(kernel, "y", y);
    writable(kernel, "y", y);
    globalIndex(kernel, index, "y", y);
  }

  /** Checks the arguments of {@link Kernels#randomNormal}. */
  public static void randomNormal(
      RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    String kernel = "randomNormal";
    floating(kernel, "y", y);
    writable(kernel, "y", y);
    globalIndex(kernel, index, "y", y);
  }

  /** Checks the arguments of {@link Kernels#dropout}. */
  public static void dropout(
      RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    String kernel = "dropout";
    pair(kernel, x, y);
    globalIndex(kernel, index, "x", x);
    if (!(probability >= 0 && probability < 1)) {
      throw refuse("%s: probability is %s; wanted 0 or more and less than 1", kernel, probability);
    }
  }

  private static void globalIndex(String kernel, GlobalIndex index, String name, NDArray x) {
    if (index.strides().length != x.rank()) {
      throw refuse(
          "%s: the global index has %s strides and %s is %s; wanted one a dim",
          kernel, index.strides().length, name, x.shape());
    }
  }
}
