package dev.heddle.parallel.comm;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Test data that every rank can compute for every other one, and the obvious reductions. */
final class Values {
  private Values() {}

  /** Numbers that {@code dtype} holds exactly, the same for the same arguments. */
  static double[] of(DType dtype, long count, long seed) {
    SplittableRandom random = new SplittableRandom(seed * 7919 + 17);
    double[] values = new double[Math.toIntExact(count)];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (dtype) {
            case F64 -> random.nextDouble(-1, 1);
            case F32 -> (float) random.nextDouble(-1, 1);
            case BF16 -> DType.bf16ToFloat(DType.floatToBf16((float) random.nextDouble(-1, 1)));
            case I32, I64 -> random.nextInt(-100_000, 100_000);
            case U8 -> random.nextInt(256);
          };
    }
    return values;
  }

  static NDArray array(Device device, DType dtype, Shape shape, long seed) {
    return NDArray.of(device, dtype, shape, of(dtype, shape.size(), seed));
  }

  /** What the members' values become, combined one after the other in member order. */
  static double[] reduce(DType dtype, ReduceOp op, List<double[]> members) {
    double[] result = members.get(0).clone();
    for (double[] values : members.subList(1, members.size())) {
      for (int i = 0; i < result.length; i++) {
        double combined =
            switch (op) {
              case SUM -> result[i] + values[i];
              case MAX -> Math.max(result[i], values[i]);
              case MIN -> Math.min(result[i], values[i]);
            };
        boolean single = dtype == DType.F32 || dtype == DType.BF16;
        result[i] = single ? (float) combined : combined;
      }
    }
    if (dtype == DType.BF16) {
      for (int i = 0; i < result.length; i++) {
        result[i] = DType.bf16ToFloat(DType.floatToBf16((float) result[i]));
      }
    }
    return result;
  }

  /** Sizes of {@code parts} uneven parts, some of them empty. */
  static long[] unevenSizes(int parts, long seed) {
    long[] sizes = new long[parts];
    for (int i = 0; i < parts; i++) {
      sizes[i] = (i * 5L + seed * 3) % 7;
    }
    return sizes;
  }

  /** Views of consecutive intervals of a dim. */
  static List<NDArray> split(NDArray array, int dim, long[] sizes) {
    List<NDArray> parts = new ArrayList<>();
    long start = 0;
    for (long size : sizes) {
      parts.add(array.slice(dim, start, start + size));
      start += size;
    }
    return parts;
  }

  static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  static long sum(long[] sizes) {
    long sum = 0;
    for (long size : sizes) {
      sum += size;
    }
    return sum;
  }
}
