package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Forms the reduction of one chunk of elements: {@link #first} from the first array, {@link #next}
 * for each further one, then {@link #store} to each destination. One implementation for each dtype
 * with one loop for each operation, over plain Java arrays: those are what the compiler vectorises
 * best, while calls through a common operator are not vectorised at all.
 */
abstract sealed class Accumulator {
  /** The most elements of a chunk: sums and values together fit the first-level cache. */
  static final int CHUNK = 2048;

  /** A new accumulator for arrays of {@code dtype}. */
  static Accumulator of(DType dtype) {
    return switch (dtype) {
      case F32 -> new OfF32();
      case F64 -> new OfF64();
      case BF16 -> new OfBf16();
      case I32 -> new OfI32();
      case I64 -> new OfI64();
      case U8 -> throw new IllegalArgumentException("arrays of U8 are not reduced");
    };
  }

  /** Takes {@code n} elements from byte {@code offset} on as they are. */
  abstract void first(MemorySegment segment, long offset, int n);

  /** Combines {@code n} elements with those taken so far. */
  abstract void next(MemorySegment segment, long offset, int n, ReduceOp op);

  /** Writes the {@code n} results. */
  abstract void store(MemorySegment segment, long offset, int n);

  private static final class OfF32 extends Accumulator {
    private final float[] result = new float[CHUNK];
    private final float[] value = new float[CHUNK];

    @Override
    void first(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(segment, ValueLayout.JAVA_FLOAT, offset, result, 0, n);
    }

    @Override
    void next(MemorySegment segment, long offset, int n, ReduceOp op) {
      MemorySegment.copy(segment, ValueLayout.JAVA_FLOAT, offset, value, 0, n);
      combine(result, value, n, op);
    }

    static void combine(float[] result, float[] value, int n, ReduceOp op) {
      switch (op) {
        case SUM -> sum(result, value, n);
        case MAX -> maximum(result, value, n);
        case MIN -> minimum(result, value, n);
      }
    }

    @Override
    void store(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(result, 0, segment, ValueLayout.JAVA_FLOAT, offset, n);
    }

    private static void sum(float[] result, float[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] += value[i];
      }
    }

    private static void maximum(float[] result, float[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.max(result[i], value[i]);
      }
    }

    private static void minimum(float[] result, float[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.min(result[i], value[i]);
      }
    }
  }

  private static final class OfF64 extends Accumulator {
    private final double[] result = new double[CHUNK];
    private final double[] value = new double[CHUNK];

    @Override
    void first(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(segment, ValueLayout.JAVA_DOUBLE, offset, result, 0, n);
    }

    @Override
    void next(MemorySegment segment, long offset, int n, ReduceOp op) {
      MemorySegment.copy(segment, ValueLayout.JAVA_DOUBLE, offset, value, 0, n);
      switch (op) {
        case SUM -> sum(result, value, n);
        case MAX -> maximum(result, value, n);
        case MIN -> minimum(result, value, n);
      }
    }

    @Override
    void store(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(result, 0, segment, ValueLayout.JAVA_DOUBLE, offset, n);
    }

    private static void sum(double[] result, double[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] += value[i];
      }
    }

    private static void maximum(double[] result, double[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.max(result[i], value[i]);
      }
    }

    private static void minimum(double[] result, double[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.min(result[i], value[i]);
      }
    }
  }

  private static final class OfI32 extends Accumulator {
    private final int[] result = new int[CHUNK];
    private final int[] value = new int[CHUNK];

    @Override
    void first(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(segment, ValueLayout.JAVA_INT, offset, result, 0, n);
    }

    @Override
    void next(MemorySegment segment, long offset, int n, ReduceOp op) {
      MemorySegment.copy(segment, ValueLayout.JAVA_INT, offset, value, 0, n);
      switch (op) {
        case SUM -> sum(result, value, n);
        case MAX -> maximum(result, value, n);
        case MIN -> minimum(result, value, n);
      }
    }

    @Override
    void store(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(result, 0, segment, ValueLayout.JAVA_INT, offset, n);
    }

    private static void sum(int[] result, int[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] += value[i];
      }
    }

    private static void maximum(int[] result, int[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.max(result[i], value[i]);
      }
    }

    private static void minimum(int[] result, int[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.min(result[i], value[i]);
      }
    }
  }

  private static final class OfI64 extends Accumulator {
    private final long[] result = new long[CHUNK];
    private final long[] value = new long[CHUNK];

    @Override
    void first(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(segment, ValueLayout.JAVA_LONG, offset, result, 0, n);
    }

    @Override
    void next(MemorySegment segment, long offset, int n, ReduceOp op) {
      MemorySegment.copy(segment, ValueLayout.JAVA_LONG, offset, value, 0, n);
      switch (op) {
        case SUM -> sum(result, value, n);
        case MAX -> maximum(result, value, n);
        case MIN -> minimum(result, value, n);
      }
    }

    @Override
    void store(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(result, 0, segment, ValueLayout.JAVA_LONG, offset, n);
    }

    private static void sum(long[] result, long[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] += value[i];
      }
    }

    private static void maximum(long[] result, long[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.max(result[i], value[i]);
      }
    }

    private static void minimum(long[] result, long[] value, int n) {
      for (int i = 0; i < n; i++) {
        result[i] = Math.min(result[i], value[i]);
      }
    }
  }

  /** Combines in F32 and rounds once, when storing. */
  private static final class OfBf16 extends Accumulator {
    private final float[] result = new float[CHUNK];
    private final float[] value = new float[CHUNK];
    private final short[] bits = new short[CHUNK];

    @Override
    void first(MemorySegment segment, long offset, int n) {
      MemorySegment.copy(segment, ValueLayout.JAVA_SHORT, offset, bits, 0, n);
      for (int i = 0; i < n; i++) {
        result[i] = DType.bf16ToFloat(bits[i]);
      }
    }

    @Override
    void next(MemorySegment segment, long offset, int n, ReduceOp op) {
      MemorySegment.copy(segment, ValueLayout.JAVA_SHORT, offset, bits, 0, n);
      for (int i = 0; i < n; i++) {
        value[i] = DType.bf16ToFloat(bits[i]);
      }
      OfF32.combine(result, value, n, op);
    }

    @Override
    void store(MemorySegment segment, long offset, int n) {
      for (int i = 0; i < n; i++) {
        bits[i] = DType.floatToBf16(result[i]);
      }
      MemorySegment.copy(bits, 0, segment, ValueLayout.JAVA_SHORT, offset, n);
    }
  }
}
