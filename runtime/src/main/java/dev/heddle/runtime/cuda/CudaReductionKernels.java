package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/** Launches {@code reductions.cu}. */
final class CudaReductionKernels {
  /** Elements of a block of the sum of squares; see SQUARES_EACH in the source. */
  static final long SQUARES = 16_384;

  /** Blocks that a sum is cut into when it has few outputs. */
  private static final long WANTED_BLOCKS = 512;

  /** The fewest elements worth a block of their own. */
  private static final long LEAST_INNER = 4096;

  private static final long LEAST_OUTER = 64;
  private static final int LANES = 8;
  private static final int WARP = 32;

  /** Longs that describe an array to the sum of squares: first block, size, address. */
  private static final int ENTRY = 3;

  private final CudaLauncher launcher;
  private final CudaFunction sumInner;
  private final CudaFunction sumOuter;
  private final CudaFunction parts;
  private final CudaFunction squares;
  private final CudaFunction total;
  private final CudaFunction argmax;

  private final Groups kept = new Groups();
  private final Groups reduced = new Groups();
  private final long[] plan = new long[4];

  // The arrays of a sum of squares.
  private final CudaTable table = new CudaTable();
  private final double[] sum = new double[1];
  private final MemorySegment sumSegment = MemorySegment.ofArray(sum);

  CudaReductionKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.sumInner = kernel("sum_inner");
    this.sumOuter = kernel("sum_outer");
    this.parts = kernel("parts");
    this.squares = kernel("squares");
    this.total = kernel("total");
    this.argmax = kernel("argmax");
  }

  private CudaFunction kernel(String name) {
    return launcher.real("reductions", "reduction_" + name);
  }

  // ---- sums over dims

  /** Dims of one kind, joined where they lie without gaps. */
  private static final class Groups {
    private final long[] dims = new long[StridedWalk.DIMS];
    private final long[] strides = new long[StridedWalk.DIMS];
    private int first;
    private long size;

    void clear() {
      Arrays.fill(dims, 1);
      Arrays.fill(strides, 0);
      first = StridedWalk.DIMS;
      size = 1;
    }

    /** Adds the next dim outward. */
    void add(NDArray x, long dim, long stride) {
      size = Math.multiplyExact(size, dim);
      if (first < StridedWalk.DIMS && stride == strides[first] * dims[first]) {
        dims[first] *= dim;
        return;
      }
      if (first == 0) {
        throw new IllegalArgumentException(
            "sumTo: x is "
                + x
                + ": more than "
                + StridedWalk.DIMS
                + " separate groups of dims are summed or kept; sum in two steps");
      }
      first--;
      dims[first] = dim;
      strides[first] = stride;
    }
  }

  void sumTo(NDArray x, NDArray y) {
    kept.clear();
    reduced.clear();
    boolean innermostKept = true;
    boolean seen = false;
    for (int i = 1; i <= x.rank(); i++) {
      long dim = x.dim(-i);
      if (dim == 1) {
        continue;
      }
      boolean keeps = i <= y.rank() && y.dim(-i) == dim;
      (keeps ? kept : reduced).add(x, dim, x.stride(-i));
      if (!seen) {
        innermostKept = keeps;
        seen = true;
      }
    }
    long outputs = y.size();
    long count = outputs == 0 ? 0 : reduced.size;
    if (outputs > StridedWalk.MOST || count > StridedWalk.MOST) {
      throw new IllegalArgumentException(
          "sumTo: x is "
              + x
              + ", y is "
              + y
              + ": more than "
              + StridedWalk.MOST
              + " outputs or"
              + " terms of an output; sum in two steps");
    }
    if (x.size() == 0) {
      addParts(0, outputs, 0, y.address());
      return;
    }
    long blocks = innermostKept ? CudaLauncher.ceilDivide(outputs, WARP) : outputs;
    long least = innermostKept ? LEAST_OUTER : LEAST_INNER;
    long wanted = Math.max(1, WANTED_BLOCKS / blocks);
    long partCount = Math.max(1, Math.min(wanted, CudaLauncher.ceilDivide(count, least)));
    long length = CudaLauncher.ceilDivide(count, partCount);
    partCount = CudaLauncher.ceilDivide(count, length);
    plan[0] = outputs;
    plan[1] = count;
    plan[2] = partCount;
    plan[3] = length;
    if (partCount == 1) {
      launchSum(innermostKept, blocks, x, 0, y.address());
      return;
    }
    Block partial = launcher.scratch(partCount * outputs * launcher.sumBytes());
    try {
      long address = partial.segment().address();
      launchSum(innermostKept, blocks, x, address, y.address());
      addParts(partCount, outputs, address, y.address());
    } finally {
      partial.release();
    }
  }

  private void launchSum(boolean outer, long blocks, NDArray x, long partial, long y) {
    LaunchArguments arguments =
        launcher
            .arguments()
            .int64s(plan, plan.length)
            .int64s(kept.dims, StridedWalk.DIMS)
            .int64s(kept.strides, StridedWalk.DIMS)
            .int64s(reduced.dims, StridedWalk.DIMS)
            .int64s(reduced.strides, StridedWalk.DIMS)
            .pointer(x)
            .pointer(partial)
            .pointer(y);
    if (outer) {
      launcher.launch(sumOuter, (int) blocks, (int) plan[2], 1, WARP, LANES, arguments);
    } else {
      int threads = CudaLauncher.rowThreads(plan[3]);
      launcher.launch(sumInner, (int) blocks, (int) plan[2], 1, threads, 1, arguments);
    }
  }

  /** y[output] = Σ partial[part, output], which has the accumulation type. */
  void addParts(long partCount, long outputs, long partial, long y) {
    LaunchArguments arguments =
        launcher.arguments().int64(partCount).int64(outputs).pointer(partial).pointer(y);
    launcher.overElements(parts, outputs, arguments);
  }

  // ---- the sum of squares

  double sumOfSquares(List<NDArray> arrays) {
    int blocks = describe(arrays);
    if (blocks == 0) {
      return 0;
    }
    Block result = launcher.scratch(Double.BYTES);
    try {
      sumSquares(blocks, result.segment().address());
      launcher.device().copyToHost(result, 0, sumSegment);
      return sum[0];
    } finally {
      result.release();
    }
  }

  /** Writes the sum to {@code result}, unless no array has an element. */
  boolean sumOfSquares(List<NDArray> arrays, NDArray result) {
    int blocks = describe(arrays);
    if (blocks > 0) {
      sumSquares(blocks, result.address());
    }
    return blocks > 0;
  }

  private void sumSquares(int blocks, long result) {
    // The blocks' sums, the table.
    long arraysAt = (long) blocks * Double.BYTES;
    Block scratch = launcher.scratch(arraysAt + table.byteSize());
    try {
      long sums = scratch.segment().address();
      table.upload(launcher.device(), scratch, arraysAt);
      LaunchArguments first =
          launcher.arguments().int32(table.length() / ENTRY).pointer(sums + arraysAt).pointer(sums);
      launcher.launch(squares, blocks, 1, 1, CudaLauncher.THREADS, 1, first);
      LaunchArguments second = launcher.arguments().int64(blocks).pointer(sums).pointer(result);
      launcher.launch(total, 1, 1, 1, CudaLauncher.THREADS, 1, second);
    } finally {
      scratch.release();
    }
  }

  /** Writes the table of the arrays that are not empty; returns its blocks. */
  private int describe(List<NDArray> arrays) {
    table.start(ENTRY * arrays.size());
    long blocks = 0;
    for (int i = 0; i < arrays.size(); i++) {
      NDArray array = arrays.get(i);
      if (array.size() > 0) {
        table.add(blocks).add(array.size()).add(array.address());
        blocks += CudaLauncher.ceilDivide(array.size(), SQUARES);
      }
    }
    return Math.toIntExact(blocks);
  }

  // ---- the largest of each row

  void argmaxRows(NDArray x, NDArray y) {
    long rows = x.dim(0);
    long columns = x.dim(1);
    LaunchArguments arguments =
        launcher.arguments().int64(rows).int64(columns).pointer(x).pointer(y);
    launcher.overRows(argmax, rows, columns, arguments);
  }
}
