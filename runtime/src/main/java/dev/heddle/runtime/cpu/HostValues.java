package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Moves arrays in host memory to and from {@code double[]} in row-major order, whatever their
 * strides and dtype. This is what lets the reference kernels be plain loops: an input is read
 * before an output is written, so neither layout nor aliasing matters to them.
 */
final class HostValues {
  private HostValues() {}

  /** All elements of {@code x} in row-major order. */
  static double[] read(NDArray x) {
    double[] values = new double[Math.toIntExact(x.size())];
    if (x.isContiguous()) {
      readRun(x.dtype(), x.segment(), x.offset(), 1, values, 0, values.length);
    } else {
      readDim(x, 0, x.segment(), x.offset(), values, 0);
    }
    return values;
  }

  /** The matrix {@code x}, or its transpose, in row-major order. */
  static double[] readMatrix(NDArray x, boolean transposed) {
    return read(transposed ? x.transpose(-2, -1) : x);
  }

  /** All elements of an integer array in row-major order. */
  static long[] readLongs(NDArray x) {
    long[] values = new long[Math.toIntExact(x.size())];
    MemorySegment memory = x.segment();
    long stride = x.rank() == 0 ? 1 : x.stride(-1);
    for (int i = 0; i < values.length; i++) {
      long at = x.offset() + i * stride;
      values[i] =
          x.dtype() == DType.I64
              ? memory.getAtIndex(ValueLayout.JAVA_LONG, at)
              : memory.getAtIndex(ValueLayout.JAVA_INT, at);
    }
    return values;
  }

  /** Sets all elements of {@code y} from row-major {@code values}, rounded to its dtype. */
  static void write(double[] values, NDArray y) {
    if (y.isContiguous()) {
      writeRun(y.dtype(), y.segment(), y.offset(), 1, values, 0, values.length);
    } else {
      writeDim(y, 0, y.segment(), y.offset(), values, 0);
    }
  }

  private static int readDim(
      NDArray x, int dim, MemorySegment memory, long offset, double[] values, int position) {
    int count = Math.toIntExact(x.dim(dim));
    long stride = x.stride(dim);
    if (dim == x.rank() - 1) {
      readRun(x.dtype(), memory, offset, stride, values, position, count);
      return position + count;
    }
    int next = position;
    for (int i = 0; i < count; i++) {
      next = readDim(x, dim + 1, memory, offset + i * stride, values, next);
    }
    return next;
  }

  private static int writeDim(
      NDArray y, int dim, MemorySegment memory, long offset, double[] values, int position) {
    int count = Math.toIntExact(y.dim(dim));
    long stride = y.stride(dim);
    if (dim == y.rank() - 1) {
      writeRun(y.dtype(), memory, offset, stride, values, position, count);
      return position + count;
    }
    int next = position;
    for (int i = 0; i < count; i++) {
      next = writeDim(y, dim + 1, memory, offset + i * stride, values, next);
    }
    return next;
  }

  private static void readRun(
      DType dtype,
      MemorySegment memory,
      long offset,
      long stride,
      double[] values,
      int position,
      int count) {
    switch (dtype) {
      case F64 -> {
        if (stride == 1) {
          MemorySegment.copy(
              memory, ValueLayout.JAVA_DOUBLE, offset * Double.BYTES, values, position, count);
        } else {
          for (int i = 0; i < count; i++) {
            values[position + i] = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, offset + i * stride);
          }
        }
      }
      case F32 -> {
        for (int i = 0; i < count; i++) {
          values[position + i] = memory.getAtIndex(ValueLayout.JAVA_FLOAT, offset + i * stride);
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          values[position + i] =
              DType.bf16ToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT, offset + i * stride));
        }
      }
      case I32, I64, U8 -> {
        for (int i = 0; i < count; i++) {
          values[position + i] = dtype.read(memory, offset + i * stride);
        }
      }
    }
  }

  private static void writeRun(
      DType dtype,
      MemorySegment memory,
      long offset,
      long stride,
      double[] values,
      int position,
      int count) {
    switch (dtype) {
      case F64 -> {
        if (stride == 1) {
          MemorySegment.copy(
              values, position, memory, ValueLayout.JAVA_DOUBLE, offset * Double.BYTES, count);
        } else {
          for (int i = 0; i < count; i++) {
            memory.setAtIndex(ValueLayout.JAVA_DOUBLE, offset + i * stride, values[position + i]);
          }
        }
      }
      case F32 -> {
        for (int i = 0; i < count; i++) {
          memory.setAtIndex(
              ValueLayout.JAVA_FLOAT, offset + i * stride, (float) values[position + i]);
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          memory.setAtIndex(
              ValueLayout.JAVA_SHORT,
              offset + i * stride,
              DType.floatToBf16((float) values[position + i]));
        }
      }
      case I32, I64, U8 -> {
        for (int i = 0; i < count; i++) {
          dtype.write(memory, offset + i * stride, values[position + i]);
        }
      }
    }
  }
}
