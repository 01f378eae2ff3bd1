package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.OutOfRange;
import dev.heddle.runtime.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Fills, copies, gathers and scatters of float arrays, by rows. */
final class VectorMovement {
  /** Columns of a scatter that one worker adds, so that rows are added in order without locks. */
  private static final int SCATTER_COLUMNS = 128;

  private final WorkerPool workers;

  VectorMovement(WorkerPool workers) {
    this.workers = workers;
  }

  /** Whether {@link #fill} can. */
  static boolean canFill(NDArray y) {
    return y.dtype() == DType.F32 && y.isContiguous();
  }

  void fill(NDArray y, double value) {
    long to = y.address();
    float filled = (float) value;
    workers.run(
        y.size(),
        VectorElementwise.GRAIN,
        (start, end) -> Tiles.fill(to + 4 * start, end - start, filled));
  }

  /** Whether {@link #copy} can: floats to floats. */
  static boolean canCopy(NDArray x, NDArray y) {
    return x.dtype() == DType.F32 && y.dtype() == DType.F32;
  }

  void copy(NDArray x, NDArray y) {
    if (x.size() == 0) {
      return;
    }
    long from = x.address();
    long to = y.address();
    if (x.isContiguous() && y.isContiguous()) {
      workers.run(
          x.size(),
          VectorElementwise.GRAIN,
          (start, end) -> Tiles.copy(from + 4 * start, to + 4 * start, (int) (end - start)));
      return;
    }
    Shape shape = x.rank() == 0 ? Shape.of(1) : x.shape();
    RowOffsets sources = RowOffsets.of(x, shape);
    RowOffsets targets = RowOffsets.of(y, shape);
    int columns = Math.toIntExact(shape.dim(-1));
    workers.run(
        shape.size() / columns,
        rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            copyRow(
                from + 4 * sources.of(row),
                sources.innerStride(),
                to + 4 * targets.of(row),
                targets.innerStride(),
                columns);
          }
        });
  }

  private static void copyRow(long from, long fromStride, long to, long toStride, int columns) {
    if (toStride == 1 && fromStride == 1) {
      Tiles.copy(from, to, columns);
    } else if (toStride == 1 && fromStride == 0) {
      Tiles.fill(to, columns, Lanes.get(from));
    } else {
      for (int i = 0; i < columns; i++) {
        Lanes.set(to + 4 * i * toStride, Lanes.get(from + 4 * i * fromStride));
      }
    }
  }

  /** Rows of a chunk: about {@link VectorElementwise#GRAIN} elements. */
  static long rowGrain(long columns) {
    return Math.max(1, VectorElementwise.GRAIN / Math.max(1, columns));
  }

  void gatherRows(NDArray x, NDArray rows, NDArray y) {
    long from = x.address();
    long to = y.address();
    long size = x.dtype().byteSize();
    long fromStride = size * x.stride(0);
    long toStride = size * y.stride(0);
    long limit = x.dim(0);
    int columns = Math.toIntExact(x.dim(1));
    boolean isFloat = x.dtype() == DType.F32;
    workers.run(
        rows.size(),
        rowGrain(columns),
        (start, end) -> {
          for (long i = start; i < end; i++) {
            long row = row(rows, i);
            if (row >= limit) {
              throw OutOfRange.row("gatherRows", i, row, "x", limit);
            }
            if (row < 0) {
              Tiles.zeroBytes(to + i * toStride, size * columns);
            } else if (isFloat) {
              Tiles.copy(from + row * fromStride, to + i * toStride, columns);
            } else {
              MemorySegment.copy(
                  Lanes.MEMORY,
                  from + row * fromStride,
                  Lanes.MEMORY,
                  to + i * toStride,
                  size * columns);
            }
          }
        });
  }

  void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    long from = x.address();
    long to = y.address();
    long fromStride = 4 * x.stride(0);
    long toStride = 4 * y.stride(0);
    long limit = y.dim(0);
    for (long i = 0; i < rows.size(); i++) {
      if (row(rows, i) >= limit) {
        throw OutOfRange.row("scatterAddRows", i, row(rows, i), "y", limit);
      }
    }
    workers.run(
        y.dim(1),
        SCATTER_COLUMNS,
        (start, end) -> {
          for (long i = 0; i < rows.size(); i++) {
            long row = row(rows, i);
            if (row >= 0) {
              VectorArithmetic.addScaled(
                  from + i * fromStride + 4 * start,
                  1,
                  to + row * toStride + 4 * start,
                  (int) (end - start));
            }
          }
        });
  }

  void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    long to = local.offset();
    for (long i = 0; i < rows.size(); i++) {
      long row = row(rows, i);
      if (row >= all) {
        throw OutOfRange.wholeRow(i, row, all);
      }
      long here = row - first;
      local
          .segment()
          .setAtIndex(ValueLayout.JAVA_LONG, to + i, here >= 0 && here < count ? here : -1);
    }
  }

  /** Entry {@code i} of an index array of I32 or I64. */
  static long row(NDArray rows, long i) {
    long at = rows.offset() + i * rows.stride(0);
    return rows.dtype() == DType.I64
        ? rows.segment().getAtIndex(ValueLayout.JAVA_LONG, at)
        : rows.segment().getAtIndex(ValueLayout.JAVA_INT, at);
  }
}
