package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.MEMORY;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Fills, copies, and the row gather and scatter. */
final class VectorMovement {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  /** Side of the square in which a transposing copy moves, so that both sides stay in cache. */
  private static final long TILE = 32;

  private final WorkerPool workers;

  VectorMovement(WorkerPool workers) {
    this.workers = workers;
  }

  /**
   * y = value.
   *
   * @return false, having done nothing, if the array is not served here
   */
  boolean fill(NDArray y, double value) {
    if (!y.isContiguous()) {
      return false;
    }
    long to = y.address();
    if (Double.doubleToRawLongBits(value) == 0) {
      workers.run(
          y.size() * y.dtype().byteSize(),
          4L * VectorElementwise.GRAIN,
          (start, end) -> Tiles.zeroBytes(to + start, end - start));
      return true;
    }
    if (y.dtype() != DType.F32) {
      return false;
    }
    float all = (float) value;
    workers.run(
        y.size(),
        VectorElementwise.GRAIN,
        (start, end) -> Tiles.fill(to + 4 * start, end - start, all));
    return true;
  }

  // ---- copies

  /**
   * y = x.
   *
   * @return false, having done nothing, if the pair is not served here
   */
  boolean copy(NDArray x, NDArray y) {
    if (x.size() == 0) {
      return true;
    }
    boolean contiguous = x.isContiguous() && y.isContiguous();
    if (x.dtype() == y.dtype() && contiguous) {
      copyBytes(x.address(), y.address(), x.size() * x.dtype().byteSize());
      return true;
    }
    if (x.dtype() == DType.F32 && y.dtype() == DType.F32) {
      copyStrided(x, y);
      return true;
    }
    if (contiguous && x.dtype() == DType.F32 && y.dtype() == DType.BF16) {
      Brain16.round(workers, x.address(), y.address(), x.size());
      return true;
    }
    if (contiguous && x.dtype() == DType.BF16 && y.dtype() == DType.F32) {
      Brain16.widen(workers, x.address(), y.address(), x.size());
      return true;
    }
    return false;
  }

  private void copyBytes(long from, long to, long bytes) {
    workers.run(
        bytes,
        8L * VectorElementwise.GRAIN,
        (start, end) -> MemorySegment.copy(MEMORY, from + start, MEMORY, to + start, end - start));
  }

  /** Dims of which both sides continue in step are merged; the rest are visited in y's order. */
  private void copyStrided(NDArray x, NDArray y) {
    int rank = x.rank();
    long[] sizes = new long[Math.max(2, rank)];
    long[] xSteps = new long[sizes.length];
    long[] ySteps = new long[sizes.length];
    int dims = 0;
    for (int i = rank - 1; i >= 0; i--) {
      long size = x.dim(i);
      if (size == 1) {
        continue;
      }
      if (dims > 0
          && x.stride(i) == xSteps[dims - 1] * sizes[dims - 1]
          && y.stride(i) == ySteps[dims - 1] * sizes[dims - 1]) {
        sizes[dims - 1] *= size;
      } else {
        sizes[dims] = size;
        xSteps[dims] = x.stride(i);
        ySteps[dims] = y.stride(i);
        dims++;
      }
    }
    for (; dims < 2; dims++) {
      sizes[dims] = 1;
    }
    // Where the innermost dim is not contiguous on the reading side, the dim that is goes second.
    if (xSteps[0] != 1) {
      for (int i = 2; i < dims; i++) {
        if (xSteps[i] == 1) {
          swap(sizes, i);
          swap(xSteps, i);
          swap(ySteps, i);
        }
      }
    }
    new StridedCopy(dims, sizes, xSteps, ySteps, x.address(), y.address()).run(workers);
  }

  private static void swap(long[] values, int i) {
    long value = values[1];
    values[1] = values[i];
    values[i] = value;
  }

  /** Dims innermost first, at least two. */
  private record StridedCopy(
      int dims, long[] sizes, long[] xSteps, long[] ySteps, long x, long y) {

    void run(WorkerPool workers) {
      boolean rows = xSteps[0] == 1 && ySteps[0] == 1;
      long units = 1;
      for (int i = 2; i < dims; i++) {
        units *= sizes[i];
      }
      // A unit of work: a row, or TILE rows of a plane.
      long unitRows = rows ? 1 : TILE;
      long unitsOfPlane = (sizes[1] + unitRows - 1) / unitRows;
      long grain = Math.max(1, VectorElementwise.GRAIN / (sizes[0] * unitRows));
      workers.run(
          units * unitsOfPlane,
          grain,
          (start, end) -> {
            for (long i = start; i < end; i++) {
              long row = i % unitsOfPlane * unitRows;
              plane(i / unitsOfPlane, row, Math.min(sizes[1], row + unitRows), rows);
            }
          });
    }

    private void plane(long index, long startRow, long endRow, boolean rows) {
      long from = x;
      long to = y;
      long rest = index;
      for (int i = 2; i < dims; i++) {
        long at = rest % sizes[i];
        rest /= sizes[i];
        from += 4 * at * xSteps[i];
        to += 4 * at * ySteps[i];
      }
      if (rows) {
        for (long row = startRow; row < endRow; row++) {
          Tiles.copy(
              from + 4 * row * xSteps[1],
              to + 4 * row * ySteps[1],
              Math.toIntExact(sizes[0]));
        }
        return;
      }
      for (long column = 0; column < sizes[0]; column += TILE) {
        long endColumn = Math.min(sizes[0], column + TILE);
        for (long row = startRow; row < endRow; row++) {
          for (long j = column; j < endColumn; j++) {
            MEMORY.set(
                INT,
                to + 4 * (row * ySteps[1] + j * ySteps[0]),
                MEMORY.get(INT, from + 4 * (row * xSteps[1] + j * xSteps[0])));
          }
        }
      }
    }
  }

  // ---- rows

  void gatherRows(NDArray x, NDArray rows, NDArray y) {
    long count = rows.dim(0);
    boolean wide = rows.dtype() == DType.I64;
    long numbers = rows.address();
    checkRows("gatherRows", numbers, wide, count, x.dim(0), "x");
    int elementBytes = x.dtype().byteSize();
    long rowBytes = x.dim(1) * elementBytes;
    long from = x.address();
    long fromStride = x.stride(0) * elementBytes;
    long to = y.address();
    long toStride = y.stride(0) * elementBytes;
    workers.run(
        rowBytes == 0 ? 0 : count,
        Math.max(1, 4L * VectorElementwise.GRAIN / Math.max(1, rowBytes)),
        (start, end) -> {
          for (long i = start; i < end; i++) {
            long row = rowNumber(numbers, wide, i);
            long target = to + i * toStride;
            if (row < 0) {
              Tiles.zeroBytes(target, rowBytes);
            } else {
              MemorySegment.copy(MEMORY, from + row * fromStride, MEMORY, target, rowBytes);
            }
          }
        });
  }

  /** Each task adds all rows for its own columns: no two write the same element, order is kept. */
  void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    long count = rows.dim(0);
    boolean wide = rows.dtype() == DType.I64;
    long numbers = rows.address();
    checkRows("scatterAddRows", numbers, wide, count, y.dim(0), "y");
    long from = x.address();
    long fromStride = 4 * x.stride(0);
    long to = y.address();
    long toStride = 4 * y.stride(0);
    workers.run(
        x.dim(1),
        Math.max(64, (x.dim(1) + 511) / 512 * 64),
        (start, end) -> {
          for (long i = 0; i < count; i++) {
            long row = rowNumber(numbers, wide, i);
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

  private static long rowNumber(long numbers, boolean wide, long i) {
    return wide ? MEMORY.get(LONG, numbers + 8 * i) : MEMORY.get(INT, numbers + 4 * i);
  }

  private static void checkRows(
      String kernel, long numbers, boolean wide, long count, long rowCount, String what) {
    for (long i = 0; i < count; i++) {
      long row = rowNumber(numbers, wide, i);
      if (row >= rowCount) {
        throw KernelChecks.rowOutOfRange(kernel, i, row, what, rowCount);
      }
    }
  }
}
