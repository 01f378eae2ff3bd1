package dev.heddle.runtime.cpu;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import org.jspecify.annotations.Nullable;

/**
 * Primitives over rows of bf16 arrays by pieces of some rows: a piece is widened into scratch
 * memory that stays in the second-level cache, the F32 kernel runs on it, and what it wrote is
 * rounded. So memory is read and written in bf16 only, and no array is there twice. Sums over rows
 * are F32 until the last piece is added; how rows are cut depends on sizes alone.
 *
 * <p>Arguments are contiguous and have been checked.
 */
final class Bf16Rows {
  /** Elements of a piece, of which a primitive has up to three in F32: two shares of a worker. */
  private static final long PIECE = 2 * VectorElementwise.GRAIN;

  /** Elements below which an array is not worth a call for each time that it is repeated. */
  private static final long MIN_REPEATED = 4096;

  private final Kernels floats;
  private final Bf16Arrays arrays;
  private final Bf16Sums sums;
  private final Bf16Norms norms;

  Bf16Rows(Kernels floats, Bf16Arrays arrays, Bf16Sums sums, Bf16Norms norms) {
    this.floats = floats;
    this.arrays = arrays;
    this.sums = sums;
    this.norms = norms;
  }

  /** What is done for the rows {@code start} (inclusive) to {@code end} (exclusive). */
  private interface Piece {
    void run(long start, long end);
  }

  private static long pieceRows(NDArray rows) {
    return Math.clamp(PIECE / Math.max(1, rows.dim(1)), 1, Math.max(1, rows.dim(0)));
  }

  private static void pieces(NDArray rows, Piece piece) {
    long step = pieceRows(rows);
    for (long start = 0; start < rows.dim(0); start += step) {
      piece.run(start, Math.min(rows.dim(0), start + step));
    }
  }

  /** An array as a matrix of its rows. */
  private static NDArray matrix(NDArray x) {
    return x.reshape(x.shape().rows(), x.dim(-1));
  }

  private static NDArray room(NDArray rows) {
    return NDArray.empty(rows.device(), DType.F32, pieceRows(rows), rows.dim(1));
  }

  /** Rows of a matrix, widened into the first rows of {@code room}. */
  private NDArray wide(NDArray rows, NDArray room, long start, long end) {
    NDArray piece = room.slice(0, 0, end - start);
    arrays.widen(rows.slice(0, start, end), piece);
    return piece;
  }

  private static NDArray statistic(NDArray values, long start, long end) {
    return values.reshape(values.size()).slice(0, start, end);
  }

  /** See {@link Kernels#layerNorm}, and {@link Kernels#rmsNorm} where there is no mean. */
  void norm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      @Nullable NDArray mean,
      NDArray rstd) {
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray w = arrays.wide(weight);
      norms.normalize(x, w, arrays.wideOrNull(bias), epsilon, y, mean, rstd);
    }
  }

  /**
   * See {@link Kernels#layerNormBackward}, and {@link Kernels#rmsNormBackward} where there is no
   * mean.
   */
  void normBackward(
      NDArray x,
      NDArray weight,
      @Nullable NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    boolean parameters = dweight != null || dbias != null;
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray w = arrays.wide(weight);
      if (dx != null && parameters && Bf16Norms.differentiates(x.dim(-1))) {
        norms.differentiate(x, w, mean, rstd, dy, dx, dweight, dbias);
        return;
      }
      NDArray from = matrix(x);
      NDArray gradient = matrix(dy);
      @Nullable NDArray to = dx == null ? null : matrix(dx);
      NDArray xs = room(from);
      NDArray dys = room(from);
      @Nullable NDArray dxs = dx == null ? null : room(from);
      @Nullable RowSum weights = dweight == null ? null : new RowSum(dweight);
      @Nullable RowSum biases = dbias == null ? null : new RowSum(dbias);
      pieces(
          from,
          (start, end) -> {
            @Nullable NDArray piece = dxs == null ? null : dxs.slice(0, 0, end - start);
            NDArray wideX = wide(from, xs, start, end);
            NDArray wideDy = wide(gradient, dys, start, end);
            NDArray rstds = statistic(rstd, start, end);
            @Nullable NDArray ofWeight = weights == null ? null : weights.part;
            @Nullable NDArray ofBias = biases == null ? null : biases.part;
            if (mean == null) {
              floats.rmsNormBackward(wideX, w, rstds, wideDy, piece, ofWeight);
            } else {
              NDArray means = statistic(mean, start, end);
              floats.layerNormBackward(wideX, w, means, rstds, wideDy, piece, ofWeight, ofBias);
            }
            if (piece != null && to != null) {
              arrays.narrow(piece, to.slice(0, start, end));
            }
            if (weights != null) {
              weights.add();
            }
            if (biases != null) {
              biases.add();
            }
          });
      if (weights != null) {
        arrays.narrow(weights.sum, weights.to);
      }
      if (biases != null) {
        arrays.narrow(biases.sum, biases.to);
      }
    }
  }

  /** The sum over all pieces of what each leaves in {@link #part}. */
  private final class RowSum {
    final NDArray to;
    final NDArray sum;
    final NDArray part;

    RowSum(NDArray to) {
      this.to = to;
      this.sum = NDArray.zeros(to.device(), DType.F32, to.shape());
      this.part = NDArray.empty(to.device(), DType.F32, to.shape());
    }

    void add() {
      floats.addScaled(part, 1, sum);
    }
  }

  /**
   * See {@link Kernels#sumTo}.
   *
   * @return whether that was done: where y is what is left of x, contiguous, when its outer dims
   *     are summed
   */
  boolean sumTo(NDArray x, NDArray y) {
    if (!x.isContiguous() || y.size() == 0 || !isOfInnerDims(y, x)) {
      return false;
    }
    if (x.dtype() == DType.BF16 && y.dtype() == DType.BF16) {
      sums.add(x.address(), x.size() / y.size(), y.size(), y.address());
      return true;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray from = x.reshape(x.size() / y.size(), y.size());
      RowSum sum = new RowSum(y.reshape(y.size()));
      NDArray xs = room(from);
      pieces(
          from,
          (start, end) -> {
            NDArray piece = wide(from, xs, start, end);
            if (end - start == 1) {
              floats.addScaled(piece.reshape(y.size()), 1, sum.sum);
            } else {
              floats.sumTo(piece, sum.part);
              sum.add();
            }
          });
      arrays.narrow(sum.sum, sum.to);
    }
    return true;
  }

  /**
   * Whether the dims of {@code small} are the inner ones of {@code large}, but for ones outside.
   */
  private static boolean isOfInnerDims(NDArray small, NDArray large) {
    int same = 0;
    while (same < small.rank()
        && same < large.rank()
        && small.dim(-1 - same) == large.dim(-1 - same)) {
      same++;
    }
    for (int dim = 0; dim < small.rank() - same; dim++) {
      if (small.dim(dim) != 1) {
        return false;
      }
    }
    return true;
  }

  /**
   * See {@link Kernels#binary}, where b is contiguous and the same for all of a's outer dims.
   *
   * @return whether that was done
   */
  boolean binary(Bf16Elementwise elementwise, BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    boolean plain =
        a.isContiguous() && b.isContiguous() && y.isContiguous() && a.shape().equals(y.shape());
    if (!plain || b.size() < MIN_REPEATED || !isOfInnerDims(b, a)) {
      return false;
    }
    NDArray from = a.reshape(a.size() / b.size(), b.size());
    NDArray to = y.reshape(from.shape());
    NDArray repeated = b.reshape(b.size());
    for (long row = 0; row < from.dim(0); row++) {
      NDArray left = from.slice(0, row, row + 1);
      elementwise.binary(op, left, repeated, to.slice(0, row, row + 1));
    }
    return true;
  }

  /** See {@link Kernels#crossEntropy}. */
  void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    // Here, because a piece would not know the row's number.
    VectorSoftmax.checkTargets(targets, classes);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray xs = room(logits);
      pieces(
          logits,
          (start, end) ->
              floats.crossEntropy(
                  wide(logits, xs, start, end),
                  targets.slice(0, start, end),
                  firstColumn,
                  classes,
                  statistic(logSumExp, start, end),
                  statistic(targetLogit, start, end)));
    }
  }

  /** See {@link Kernels#crossEntropyBackward}. */
  void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits) {
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray xs = room(logits);
      pieces(
          logits,
          (start, end) -> {
            NDArray piece = wide(logits, xs, start, end);
            floats.crossEntropyBackward(
                piece,
                targets.slice(0, start, end),
                firstColumn,
                statistic(logSumExp, start, end),
                dloss,
                piece);
            arrays.narrow(piece, dlogits.slice(0, start, end));
          });
    }
  }
}
