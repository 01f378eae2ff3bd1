package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;

/** Launches {@code rotary.cu}. */
final class CudaRotaryKernels {
  private final CudaLauncher launcher;
  private final CudaFunction rotary;
  private final long[] strides = new long[3];

  CudaRotaryKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.rotary = launcher.real("rotary", "rotary");
  }

  void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    long half = x.dim(3) / 2;
    long pairsOfBatch = x.dim(1) * x.dim(2) * half;
    if (pairsOfBatch == 0) {
      return;
    }
    if (pairsOfBatch > StridedWalk.MOST) {
      throw new IllegalArgumentException(
          "rotary: x is " + x + ": more than " + StridedWalk.MOST + " pairs a batch");
    }
    long batches = StridedWalk.MOST / pairsOfBatch;
    for (long batch = 0; batch < x.dim(0); batch += batches) {
      long pairs = pairsOfBatch * Math.min(batches, x.dim(0) - batch);
      LaunchArguments arguments =
          launcher
              .arguments()
              .int32((int) pairs)
              .int32((int) x.dim(1))
              .int32((int) x.dim(2))
              .int32((int) half);
      heads(arguments, x, batch).pointer(cos).pointer(sin);
      launcher.scalar(arguments, inverse ? -1 : 1);
      launcher.overElements(rotary, pairs, heads(arguments, y, batch));
    }
  }

  private LaunchArguments heads(LaunchArguments arguments, NDArray x, long batch) {
    for (int i = 0; i < strides.length; i++) {
      strides[i] = x.stride(i);
    }
    long start = x.address() + x.dtype().byteSize() * batch * strides[0];
    return arguments.pointer(start).int64s(strides, strides.length);
  }
}
