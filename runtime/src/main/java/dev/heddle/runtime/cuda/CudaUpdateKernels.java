package dev.heddle.runtime.cuda;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.memory.Block;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches {@code updates.cu}. */
final class CudaUpdateKernels {
  /** Elements that a thread draws in turn; see DRAWS in the source. */
  private static final int DRAWS = 4;

  /** Values of the 24 bits that a uniform number has. */
  private static final double UNIFORM_VALUES = 0x1p24;

  /** Elements of a tensor that a block updates; see UPDATES_EACH in the source. */
  private static final long ELEMENTS = 8192;

  /** Members of Tensor, and of Constants, in the source. */
  private static final int ENTRY = 8;

  private static final int CONSTANTS = 4;

  private final CudaLauncher launcher;
  private final CudaFunction adamW;
  private final CudaFunction adamWMany;
  private final CudaFunction uniform;
  private final CudaFunction normal;
  private final CudaFunction dropout;
  private final StridedWalk walk = new StridedWalk();
  private final CudaTable table = new CudaTable();
  private final long[] numbers = new long[9];
  private final long[] stream = new long[2];

  CudaUpdateKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.adamW = kernel("adamw");
    this.adamWMany = kernel("adamw_many");
    this.uniform = kernel("uniform");
    this.normal = kernel("normal");
    this.dropout = kernel("dropout");
  }

  private CudaFunction kernel(String name) {
    return launcher.real("updates", "update_" + name);
  }

  // ---- AdamW

  void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy) {
    long n = weight.size();
    LaunchArguments arguments =
        numbers(step)
            .int64(n)
            .pointer(weight)
            .pointer(gradient)
            .pointer(firstMoment)
            .pointer(secondMoment);
    launcher.overPacks(adamW, n, CudaLauncher.pointerOrNull(arguments, copy));
  }

  void adamW(AdamWStep constants, List<AdamWTensor> tensors, NDArray update) {
    table.start(ENTRY * tensors.size());
    long blocks = 0;
    for (int i = 0; i < tensors.size(); i++) {
      AdamWTensor t = tensors.get(i);
      long size = t.weight().size();
      if (size > 0) {
        NDArray copy = t.copy();
        table
            .add(blocks)
            .add(size)
            .add(t.weight().address())
            .add(t.gradient().address())
            .add(t.firstMoment().address())
            .add(t.secondMoment().address())
            .add(copy == null ? 0 : copy.address())
            .add(t.decays() ? 1 : 0);
        blocks += CudaLauncher.ceilDivide(size, ELEMENTS);
      }
    }
    if (blocks == 0) {
      return;
    }
    numbers[0] = bits(constants.beta1());
    numbers[1] = bits(constants.beta2());
    numbers[2] = bits(constants.epsilon());
    numbers[3] = bits(constants.weightDecay());
    Block descriptors = launcher.scratch(table.byteSize());
    try {
      table.upload(launcher.device(), descriptors, 0);
      LaunchArguments arguments =
          launcher
              .arguments()
              .int64s(numbers, CONSTANTS)
              .pointer(update)
              .int32(table.length() / ENTRY)
              .pointer(descriptors.segment().address());
      int grid = Math.toIntExact(blocks);
      launcher.launch(adamWMany, grid, 1, 1, CudaLauncher.THREADS, 1, arguments);
    } finally {
      descriptors.release();
    }
  }

  /** The members of Step: doubles by their bits. */
  private LaunchArguments numbers(AdamWStep step) {
    numbers[0] = bits(step.gradientScale());
    numbers[1] = bits(step.beta1());
    numbers[2] = bits(1 - step.beta1());
    numbers[3] = bits(step.beta2());
    numbers[4] = bits(1 - step.beta2());
    numbers[5] = bits(1 / Math.sqrt(step.correction2()));
    numbers[6] = bits(step.learningRate() / step.correction1());
    numbers[7] = bits(step.epsilon());
    numbers[8] = bits(1 - step.learningRate() * step.weightDecay());
    return launcher.arguments().int64s(numbers, numbers.length);
  }

  private static long bits(double value) {
    return Double.doubleToRawLongBits(value);
  }

  // ---- random

  void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    draw(uniform, key, index, low, high - low, y);
  }

  void randomNormal(RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    draw(normal, key, index, mean, deviation, y);
  }

  private void draw(
      CudaFunction kernel,
      RandomKey key,
      GlobalIndex index,
      double first,
      double second,
      NDArray y) {
    walk.start(y.shape());
    int global = walk.add(index.strides());
    int to = walk.add(y);
    walk.cut();
    while (walk.next()) {
      LaunchArguments arguments =
          piece(key, index, global)
              .float64(first)
              .float64(second)
              .pointer(y.address() + y.dtype().byteSize() * walk.offset(to))
              .int64s(walk.strides(to), StridedWalk.DIMS);
      launcher.overElements(kernel, CudaLauncher.ceilDivide(walk.count(), DRAWS), arguments);
    }
  }

  void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    // u >= probability for u = bits / 2^24 is bits >= probability 2^24: exact in integers.
    int threshold = (int) Math.ceil(probability * UNIFORM_VALUES);
    walk.start(y.shape());
    int global = walk.add(index.strides());
    int place = walk.add(y);
    walk.cut();
    while (walk.next()) {
      long offset = y.dtype().byteSize() * walk.offset(place);
      LaunchArguments arguments = piece(key, index, global).int32(threshold);
      launcher
          .scalar(arguments, 1 / (1 - probability))
          .pointer(x.address() + offset)
          .pointer(y.address() + offset);
      launcher.overElements(dropout, CudaLauncher.ceilDivide(walk.count(), DRAWS), arguments);
    }
  }

  private LaunchArguments piece(RandomKey key, GlobalIndex index, int global) {
    stream[0] = key.seed();
    stream[1] = key.stream();
    return launcher
        .arguments()
        .int64s(stream, stream.length)
        .int32(walk.count())
        .int64s(walk.sizes(), StridedWalk.DIMS)
        .int64(index.base() + walk.offset(global))
        .int64s(walk.strides(global), StridedWalk.DIMS);
  }
}
