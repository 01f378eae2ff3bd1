package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.OutOfRange;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** Data movement: fill, copy and the row gather and scatter. */
final class ReferenceMovement {
  private ReferenceMovement() {}

  static void fill(NDArray y, double value) {
    if (y.isContiguous() && Double.doubleToRawLongBits(value) == 0) {
      y.segment().asSlice(y.byteOffset(), y.size() * y.dtype().byteSize()).fill((byte) 0);
    } else {
      double[] values = new double[Math.toIntExact(y.size())];
      Arrays.fill(values, value);
      HostValues.write(values, y);
    }
  }

  static void copy(NDArray x, NDArray y) {
    if (x.dtype() == y.dtype()) {
      // Bits, not values: an I64 above 2^53 and a NaN's payload must survive.
      copyBits(x, y);
    } else {
      HostValues.write(HostValues.read(x), y);
    }
  }

  private static void copyBits(NDArray x, NDArray y) {
    int elementBytes = x.dtype().byteSize();
    if (x.isContiguous() && y.isContiguous()) {
      long bytes = x.size() * elementBytes;
      MemorySegment.copy(x.segment(), x.byteOffset(), y.segment(), y.byteOffset(), bytes);
    } else {
      copyDim(x, x.segment(), x.offset(), y, y.segment(), y.offset(), 0, elementBytes);
    }
  }

  private static void copyDim(
      NDArray x,
      MemorySegment source,
      long from,
      NDArray y,
      MemorySegment target,
      long to,
      int dim,
      int elementBytes) {
    long count = x.dim(dim);
    long fromStride = x.stride(dim);
    long toStride = y.stride(dim);
    if (dim < x.rank() - 1) {
      for (long i = 0; i < count; i++) {
        long sourceRow = from + i * fromStride;
        long targetRow = to + i * toStride;
        copyDim(x, source, sourceRow, y, target, targetRow, dim + 1, elementBytes);
      }
    } else if (fromStride == 1 && toStride == 1) {
      MemorySegment.copy(
          source, from * elementBytes, target, to * elementBytes, count * elementBytes);
    } else {
      for (long i = 0; i < count; i++) {
        long bits = loadBits(source, elementBytes, from + i * fromStride);
        storeBits(target, elementBytes, to + i * toStride, bits);
      }
    }
  }

  private static long loadBits(MemorySegment memory, int byteSize, long index) {
    return switch (byteSize) {
      case 1 -> memory.get(ValueLayout.JAVA_BYTE, index);
      case 2 -> memory.getAtIndex(ValueLayout.JAVA_SHORT, index);
      case 4 -> memory.getAtIndex(ValueLayout.JAVA_INT, index);
      default -> memory.getAtIndex(ValueLayout.JAVA_LONG, index);
    };
  }

  private static void storeBits(MemorySegment memory, int byteSize, long index, long bits) {
    switch (byteSize) {
      case 1 -> memory.set(ValueLayout.JAVA_BYTE, index, (byte) bits);
      case 2 -> memory.setAtIndex(ValueLayout.JAVA_SHORT, index, (short) bits);
      case 4 -> memory.setAtIndex(ValueLayout.JAVA_INT, index, (int) bits);
      default -> memory.setAtIndex(ValueLayout.JAVA_LONG, index, bits);
    }
  }

  static void gatherRows(NDArray x, NDArray rows, NDArray y) {
    long[] sources = HostValues.readLongs(rows);
    checkRows("gatherRows", sources, x.dim(0), "x");
    int elementBytes = x.dtype().byteSize();
    long rowBytes = x.dim(1) * elementBytes;
    for (int i = 0; i < sources.length; i++) {
      long to = y.byteOffset() + i * y.stride(0) * elementBytes;
      if (sources[i] < 0) {
        y.segment().asSlice(to, rowBytes).fill((byte) 0);
      } else {
        long from = x.byteOffset() + sources[i] * x.stride(0) * elementBytes;
        MemorySegment.copy(x.segment(), from, y.segment(), to, rowBytes);
      }
    }
  }

  static void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    long[] targets = HostValues.readLongs(rows);
    checkRows("scatterAddRows", targets, y.dim(0), "y");
    double[] source = HostValues.read(x);
    double[] sum = HostValues.read(y);
    int columns = Math.toIntExact(x.dim(1));
    for (int i = 0; i < targets.length; i++) {
      if (targets[i] >= 0) {
        int from = i * columns;
        int to = (int) targets[i] * columns;
        for (int j = 0; j < columns; j++) {
          sum[to + j] += source[from + j];
        }
      }
    }
    HostValues.write(sum, y);
  }

  static void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    long[] numbers = HostValues.readLongs(rows);
    for (int i = 0; i < numbers.length; i++) {
      if (numbers[i] >= all) {
        throw OutOfRange.wholeRow(i, numbers[i], all);
      }
      long here = numbers[i] - first;
      local
          .segment()
          .setAtIndex(
              ValueLayout.JAVA_LONG, local.offset() + i, here >= 0 && here < count ? here : -1);
    }
  }

  private static void checkRows(String kernel, long[] rows, long rowCount, String what) {
    for (int i = 0; i < rows.length; i++) {
      if (rows[i] >= rowCount) {
        throw OutOfRange.row(kernel, i, rows[i], what, rowCount);
      }
    }
  }
}
