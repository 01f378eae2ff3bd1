package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What the families of kernels of one table share: the device, the names that go with the dtype,
 * and the shapes of launches. Where launches go is for subclasses to say: to a GPU ({@link
 * GpuLauncher}), or to where they are counted ({@link PaperLauncher}). The shape of a launch
 * depends on the sizes of its arrays alone, never on the GPU, since the order of sums follows from
 * it.
 */
abstract class CudaLauncher {
  /** Threads of a block that works on single elements. */
  static final int THREADS = 256;

  /** Blocks beyond this many walk on: more would only queue. */
  private static final int MOST_BLOCKS = 1 << 16;

  /** Elements that a thread of an element-wise kernel takes at a time. */
  private static final int PACK = 4;

  private final DType dtype;
  private final String suffix;

  CudaLauncher(DType dtype) {
    this.dtype = dtype;
    this.suffix = "_" + dtype.name().toLowerCase(Locale.ROOT);
  }

  /** Whose memory the kernels work on. */
  abstract Device device();

  /** The device's compute capability, ten times the major and one time the minor version. */
  abstract int computeCapability();

  /** Where kernels report row numbers that are out of range. */
  abstract CudaRowFaults rowFaults();

  /** The kernel of that name in a module that is loaded if it is not yet. */
  abstract CudaFunction function(String module, String kernel);

  /** Launch arguments, to be filled and used before the next call. */
  abstract LaunchArguments arguments();

  abstract void launch(
      CudaFunction kernel,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      LaunchArguments arguments);

  DType dtype() {
    return dtype;
  }

  /** A kernel compiled for this table's type: {@code name} and the module without their suffix. */
  CudaFunction real(String module, String name) {
    return function(module + suffix, "heddle_" + name + suffix);
  }

  /** A kernel of a module that serves all types. */
  CudaFunction shared(String module, String name) {
    return function(module, "heddle_" + name);
  }

  /** A scalar of the accumulation type. */
  LaunchArguments scalar(LaunchArguments arguments, double value) {
    return dtype == DType.F64 ? arguments.float64(value) : arguments.float32((float) value);
  }

  /** The address of an array, or the null pointer. */
  static LaunchArguments pointerOrNull(LaunchArguments arguments, @Nullable NDArray array) {
    return array == null ? arguments.pointer(0) : arguments.pointer(array);
  }

  /** Memory for the launches that follow at once, to be released behind them. */
  Block scratch(long bytes) {
    return device().memory().borrow(bytes);
  }

  /** Bytes of a value of the accumulation type. */
  long sumBytes() {
    return dtype.accumulation().byteSize();
  }

  /** Over {@code n} elements, a pack of them a thread. */
  void overPacks(CudaFunction kernel, long n, LaunchArguments arguments) {
    overElements(kernel, ceilDivide(n, PACK), arguments);
  }

  /** Over {@code n} elements, one a thread. */
  void overElements(CudaFunction kernel, long n, LaunchArguments arguments) {
    int blocks = (int) Math.min(MOST_BLOCKS, ceilDivide(n, THREADS));
    launch(kernel, blocks, 1, 1, THREADS, 1, arguments);
  }

  /** Over the rows of a matrix, a block each. */
  void overRows(CudaFunction kernel, long rows, long columns, LaunchArguments arguments) {
    int blocks = (int) Math.min(Integer.MAX_VALUE, rows);
    launch(kernel, blocks, 1, 1, rowThreads(columns), 1, arguments);
  }

  /** Threads that share a row: whole warps, so that each has a few packs. */
  static int rowThreads(long columns) {
    int threads = 32;
    while (threads < 512 && threads * 8L < columns) {
      threads *= 2;
    }
    return threads;
  }

  static long ceilDivide(long n, long part) {
    return (n + part - 1) / part;
  }
}
