package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * Whole arrays between bf16 and F32, by the rank's threads: what a primitive without a bf16 loop of
 * its own is surrounded by. Arrays may be strided; runs of neighbours go by vectors.
 */
final class Bf16Arrays {
  private final WorkerPool workers;

  Bf16Arrays(WorkerPool workers) {
    this.workers = workers;
  }

  /** A contiguous F32 copy of a bf16 array, of the scope that is open; any other as it is. */
  NDArray wide(NDArray x) {
    if (x.dtype() != DType.BF16) {
      return x;
    }
    NDArray result = NDArray.empty(x.device(), DType.F32, x.shape());
    widen(x, result);
    return result;
  }

  @Nullable NDArray wideOrNull(@Nullable NDArray x) {
    return x == null ? null : wide(x);
  }

  /** Room in F32 for what is to be written to a bf16 array; any other is written as it is. */
  NDArray room(NDArray y) {
    return y.dtype() == DType.BF16 ? NDArray.empty(y.device(), DType.F32, y.shape()) : y;
  }

  @Nullable NDArray roomOrNull(@Nullable NDArray y) {
    return y == null ? null : room(y);
  }

  /** y = x for x bf16 of any strides and y F32, contiguous. */
  void widen(NDArray x, NDArray y) {
    long to = y.address();
    if (x.isContiguous()) {
      long from = x.address();
      workers.run(
          x.size(),
          VectorElementwise.GRAIN,
          (start, end) -> Bf16Conversion.widen(from + 2 * start, to + 4 * start, end - start));
      return;
    }
    ContiguousRuns runs = new ContiguousRuns(x);
    workers.run(
        runs.count,
        grain(runs.length),
        (start, end) -> {
          for (long run = start; run < end; run++) {
            long target = to + 4 * run * runs.length;
            Bf16Conversion.widen(runs.address(run, Short.BYTES), target, runs.length);
          }
        });
  }

  /** y = wide, rounded, for wide F32 and contiguous; nothing where they are the same array. */
  void narrow(NDArray wide, NDArray y) {
    if (wide == y) {
      return;
    }
    long from = wide.address();
    if (y.isContiguous()) {
      long to = y.address();
      workers.run(
          y.size(),
          VectorElementwise.GRAIN,
          (start, end) -> Bf16Conversion.narrow(from + 4 * start, to + 2 * start, end - start));
      return;
    }
    ContiguousRuns runs = new ContiguousRuns(y);
    workers.run(
        runs.count,
        grain(runs.length),
        (start, end) -> {
          for (long run = start; run < end; run++) {
            long source = from + 4 * run * runs.length;
            Bf16Conversion.narrow(source, runs.address(run, Short.BYTES), runs.length);
          }
        });
  }

  void narrowOrNot(@Nullable NDArray wide, @Nullable NDArray y) {
    if (wide != null && y != null) {
      narrow(wide, y);
    }
  }

  static long grain(long length) {
    return Math.max(1, VectorElementwise.GRAIN / Math.max(1, length));
  }
}
