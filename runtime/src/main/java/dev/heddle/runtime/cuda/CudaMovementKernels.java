package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Launches {@code movement.cu}: what moves bits goes by the size of elements, so one set of kernels
 * serves all dtypes.
 */
final class CudaMovementKernels {
  private static final String MODULE = "movement";

  /** Element sizes 1, 2, 4, 8 and, for whole rows, 16 bytes. */
  private static final int SIZES = 5;

  /** Rows and columns of the tile of a transposing copy, and rows of its block. */
  private static final int TILE = 32;

  private static final int TILE_ROWS = 8;
  private static final int MOST_TILES = 65_535;

  private final CudaLauncher launcher;
  private final CudaFunction[] fill = new CudaFunction[SIZES];
  private final CudaFunction[] fillStrided = new CudaFunction[SIZES];
  private final CudaFunction[] copy = new CudaFunction[SIZES];
  private final CudaFunction[] copyStrided = new CudaFunction[SIZES];
  private final CudaFunction[] transpose = new CudaFunction[SIZES];
  private final CudaFunction[] gather = new CudaFunction[SIZES];
  private final @Nullable CudaFunction[][] casts;
  private final CudaFunction localRows;
  private final CudaFunction widen;
  private final CudaFunction narrow;
  private final StridedWalk walk = new StridedWalk();
  private final MemorySegment pattern = MemorySegment.ofArray(new long[1]);
  private final long[] otherDims = new long[StridedWalk.DIMS];
  private final long[] otherFrom = new long[StridedWalk.DIMS];
  private final long[] otherTo = new long[StridedWalk.DIMS];

  CudaMovementKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    for (int i = 0; i < SIZES; i++) {
      String bits = "_b" + (8 << i);
      gather[i] = launcher.shared(MODULE, "movement_gather" + bits);
      if (i < SIZES - 1) {
        fill[i] = launcher.shared(MODULE, "movement_fill" + bits);
        fillStrided[i] = launcher.shared(MODULE, "movement_fill_strided" + bits);
        copy[i] = launcher.shared(MODULE, "movement_copy" + bits);
        copyStrided[i] = launcher.shared(MODULE, "movement_copy_strided" + bits);
        transpose[i] = launcher.shared(MODULE, "movement_transpose" + bits);
      }
    }
    int types = DType.values().length;
    casts = new CudaFunction[types][types];
    for (DType from : DType.values()) {
      for (DType to : DType.values()) {
        if (from != to) {
          String name = "movement_cast_" + lower(from) + "_" + lower(to);
          casts[from.ordinal()][to.ordinal()] = launcher.shared(MODULE, name);
        }
      }
    }
    localRows = launcher.shared(MODULE, "movement_local_rows");
    widen = launcher.shared(MODULE, "movement_widen");
    narrow = launcher.shared(MODULE, "movement_narrow");
  }

  private static String lower(DType type) {
    return type.name().toLowerCase(Locale.ROOT);
  }

  private static int sizeClass(DType type) {
    return Integer.numberOfTrailingZeros(type.byteSize());
  }

  // ---- fill

  void fill(NDArray y, double value) {
    int size = sizeClass(y.dtype());
    long bits = pattern(y.dtype(), value);
    walk.start(y.shape());
    int to = walk.add(y);
    walk.cut();
    if (walk.isRun(to)) {
      long n = y.size();
      LaunchArguments arguments = launcher.arguments().int64(n).int64(bits).pointer(y);
      launcher.overPacks(fill[size], n, arguments);
      return;
    }
    while (walk.next()) {
      LaunchArguments arguments =
          launcher
              .arguments()
              .int32(walk.count())
              .int64(bits)
              .int64s(walk.sizes(), StridedWalk.DIMS)
              .pointer(y.address() + (walk.offset(to) << size))
              .int64s(walk.strides(to), StridedWalk.DIMS);
      launcher.overElements(fillStrided[size], walk.count(), arguments);
    }
  }

  /** The bits of an element, as often as they fit into a long. */
  private long pattern(DType type, double value) {
    for (int i = 0; i < Long.BYTES / type.byteSize(); i++) {
      type.write(pattern, i, value);
    }
    return pattern.get(ValueLayout.JAVA_LONG, 0);
  }

  // ---- copy

  void copy(NDArray x, NDArray y) {
    walk.start(y.shape());
    int from = walk.add(x);
    int to = walk.add(y);
    walk.cut();
    boolean runs = walk.isRun(from) && walk.isRun(to);
    if (x.dtype() != y.dtype()) {
      cast(x, y, from, to, runs);
    } else if (runs) {
      long n = y.size();
      LaunchArguments arguments = launcher.arguments().int64(n).pointer(x).pointer(y);
      launcher.overPacks(copy[sizeClass(y.dtype())], n, arguments);
    } else if (!transposed(x, y, from, to)) {
      byElements(copyStrided[sizeClass(y.dtype())], x, y, from, to);
    }
  }

  private void cast(NDArray x, NDArray y, int from, int to, boolean runs) {
    boolean widens = x.dtype() == DType.BF16 && y.dtype() == DType.F32;
    boolean narrows = x.dtype() == DType.F32 && y.dtype() == DType.BF16;
    if (runs && (widens || narrows)) {
      long n = y.size();
      LaunchArguments arguments = launcher.arguments().int64(n).pointer(x).pointer(y);
      launcher.overPacks(widens ? widen : narrow, n, arguments);
      return;
    }
    CudaFunction kernel = casts[x.dtype().ordinal()][y.dtype().ordinal()];
    if (kernel == null) {
      throw new AssertionError("no cast from " + x.dtype() + " to " + y.dtype());
    }
    byElements(kernel, x, y, from, to);
  }

  private void byElements(CudaFunction kernel, NDArray x, NDArray y, int from, int to) {
    while (walk.next()) {
      LaunchArguments arguments =
          launcher
              .arguments()
              .int32(walk.count())
              .int64s(walk.sizes(), StridedWalk.DIMS)
              .pointer(x.address() + x.dtype().byteSize() * walk.offset(from))
              .int64s(walk.strides(from), StridedWalk.DIMS)
              .pointer(y.address() + y.dtype().byteSize() * walk.offset(to))
              .int64s(walk.strides(to), StridedWalk.DIMS);
      launcher.overElements(kernel, walk.count(), arguments);
    }
  }

  /** By tiles, where x is dense along another dim than y; false if it is not. */
  private boolean transposed(NDArray x, NDArray y, int from, int to) {
    int rank = walk.rank();
    int dense = rank - 1;
    if (y.size() == 0 || rank < 2 || rank - 2 > StridedWalk.DIMS || walk.stride(to, dense) != 1) {
      return false;
    }
    int other = dense - 1;
    while (other >= 0 && walk.stride(from, other) != 1) {
      other--;
    }
    if (other < 0 || walk.dim(other) < TILE_ROWS || walk.dim(dense) < TILE_ROWS) {
      return false;
    }
    Arrays.fill(otherDims, 1);
    Arrays.fill(otherFrom, 0);
    Arrays.fill(otherTo, 0);
    long batches = 1;
    int free = StridedWalk.DIMS;
    for (int i = rank - 2; i >= 0; i--) {
      if (i != other) {
        free--;
        otherDims[free] = walk.dim(i);
        otherFrom[free] = walk.stride(from, i);
        otherTo[free] = walk.stride(to, i);
        batches *= walk.dim(i);
      }
    }
    long m = walk.dim(other);
    long n = walk.dim(dense);
    long tilesOfM = CudaLauncher.ceilDivide(m, TILE);
    long tilesOfN = CudaLauncher.ceilDivide(n, TILE);
    if (batches > MOST_TILES || tilesOfM > MOST_TILES || n > StridedWalk.MOST) {
      return false;
    }
    LaunchArguments arguments =
        launcher
            .arguments()
            .int32((int) m)
            .int32((int) n)
            .pointer(x)
            .int64(walk.stride(from, dense))
            .pointer(y)
            .int64(walk.stride(to, other))
            .int64s(otherDims, StridedWalk.DIMS)
            .int64s(otherFrom, StridedWalk.DIMS)
            .int64s(otherTo, StridedWalk.DIMS);
    launcher.launch(
        transpose[sizeClass(y.dtype())],
        (int) tilesOfN,
        (int) tilesOfM,
        (int) batches,
        TILE,
        TILE_ROWS,
        arguments);
    return true;
  }

  // ---- gather

  void gatherRows(NDArray x, NDArray rows, NDArray y) {
    CudaRowFaults faults = launcher.rowFaults();
    int size = sizeClass(x.dtype());
    long columns = x.dim(1);
    long fromStride = x.stride(0);
    long toStride = y.stride(0);
    // Rows that are whole numbers of 16 bytes, with aligned starts, move by 16 bytes.
    int wide = SIZES - 1 - size;
    long places =
        x.address() | y.address() | columns << size | fromStride << size | toStride << size;
    boolean packs = (places & 15) == 0;
    if (packs) {
      columns >>= wide;
      fromStride >>= wide;
      toStride >>= wide;
    }
    int threads = CudaLauncher.THREADS;
    int across = 32;
    while (across < threads && across < columns) {
      across *= 2;
    }
    int down = threads / across;
    long n = rows.size();
    int blocks = (int) Math.min(1 << 20, CudaLauncher.ceilDivide(n, down));
    LaunchArguments arguments =
        launcher
            .arguments()
            .int64(n)
            .int64(columns)
            .pointer(x)
            .int64(fromStride)
            .int64(x.dim(0))
            .pointer(rows)
            .int32(rows.dtype() == DType.I64 ? 1 : 0)
            .pointer(y)
            .int64(toStride)
            .pointer(faults.address());
    launcher.launch(gather[packs ? SIZES - 1 : size], blocks, 1, 1, across, down, arguments);
    faults.check();
  }

  // ---- row numbers

  void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    CudaRowFaults faults = launcher.rowFaults();
    LaunchArguments arguments =
        launcher
            .arguments()
            .int64(rows.size())
            .pointer(rows)
            .int32(rows.dtype() == DType.I64 ? 1 : 0)
            .int64(first)
            .int64(count)
            .int64(all)
            .pointer(local)
            .pointer(faults.address());
    launcher.overElements(localRows, rows.size(), arguments);
    faults.check();
  }
}
