package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import org.jspecify.annotations.Nullable;

/** Launches {@code norms.cu}. */
final class CudaNormKernels {
  private static final int WARP = 32;
  private static final int LANES = 8;

  /** Blocks that the sums over rows are cut into when there are few columns. */
  private static final long WANTED_BLOCKS = 512;

  /** The fewest rows worth a block of their own. */
  private static final long LEAST_ROWS = 64;

  private final CudaLauncher launcher;
  private final CudaReductionKernels reductions;
  private final CudaFunction layer;
  private final CudaFunction layerBackward;
  private final CudaFunction rms;
  private final CudaFunction rmsBackward;
  private final CudaFunction parameterParts;

  /**
   * Over the reductions of the same table.
   *
   * @param reductions adds up the parts of the parameters' gradients
   */
  CudaNormKernels(CudaLauncher launcher, CudaReductionKernels reductions) {
    this.launcher = launcher;
    this.reductions = reductions;
    this.layer = kernel("layer");
    this.layerBackward = kernel("layer_backward");
    this.rms = kernel("rms");
    this.rmsBackward = kernel("rms_backward");
    this.parameterParts = kernel("parameter_parts");
  }

  private CudaFunction kernel(String name) {
    return launcher.real("norms", "norm_" + name);
  }

  void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd) {
    long columns = x.dim(-1);
    long rows = x.shape().rows();
    LaunchArguments arguments = sizes(rows, columns).pointer(x).pointer(weight);
    CudaLauncher.pointerOrNull(arguments, bias);
    launcher.scalar(arguments, epsilon).pointer(y).pointer(mean).pointer(rstd);
    launcher.overRows(layer, rows, columns, arguments);
  }

  void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    if (dx != null) {
      long columns = x.dim(-1);
      long rows = x.shape().rows();
      LaunchArguments arguments =
          sizes(rows, columns)
              .pointer(x)
              .pointer(weight)
              .pointer(mean)
              .pointer(rstd)
              .pointer(dy)
              .pointer(dx);
      launcher.overRows(layerBackward, rows, columns, arguments);
    }
    parameters(x, mean, rstd, dy, dweight, dbias);
  }

  void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    long columns = x.dim(-1);
    long rows = x.shape().rows();
    LaunchArguments arguments = sizes(rows, columns).pointer(x).pointer(weight);
    launcher.scalar(arguments, epsilon).pointer(y).pointer(rstd);
    launcher.overRows(rms, rows, columns, arguments);
  }

  void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    if (dx != null) {
      long columns = x.dim(-1);
      long rows = x.shape().rows();
      LaunchArguments arguments =
          sizes(rows, columns).pointer(x).pointer(weight).pointer(rstd).pointer(dy).pointer(dx);
      launcher.overRows(rmsBackward, rows, columns, arguments);
    }
    parameters(x, null, rstd, dy, dweight, null);
  }

  private void parameters(
      NDArray x,
      @Nullable NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    if (dweight == null && dbias == null) {
      return;
    }
    long columns = x.dim(-1);
    long rows = x.shape().rows();
    long tiles = Math.max(1, CudaLauncher.ceilDivide(columns, WARP));
    long wanted = Math.max(1, WANTED_BLOCKS / tiles);
    long parts = Math.min(wanted, CudaLauncher.ceilDivide(rows, LEAST_ROWS));
    long rowsOfPart = parts == 0 ? 0 : CudaLauncher.ceilDivide(rows, parts);
    parts = parts == 0 ? 0 : CudaLauncher.ceilDivide(rows, rowsOfPart);
    long bytes = parts * columns * launcher.sumBytes();
    int outputs = (dweight == null ? 0 : 1) + (dbias == null ? 0 : 1);
    Block partial = launcher.scratch(outputs * bytes);
    try {
      long first = partial.segment().address();
      long weights = dweight == null ? 0 : first;
      long biases = dbias == null ? 0 : dweight == null ? first : first + bytes;
      LaunchArguments arguments =
          sizes(rows, columns).int64(rowsOfPart).pointer(x);
      CudaLauncher.pointerOrNull(arguments, mean)
          .pointer(rstd)
          .pointer(dy)
          .pointer(weights)
          .pointer(biases);
      launcher.launch(parameterParts, (int) tiles, (int) parts, 1, WARP, LANES, arguments);
      if (dweight != null) {
        reductions.addParts(parts, columns, weights, dweight.address());
      }
      if (dbias != null) {
        reductions.addParts(parts, columns, biases, dbias.address());
      }
    } finally {
      partial.release();
    }
  }

  private LaunchArguments sizes(long rows, long columns) {
    return launcher.arguments().int64(rows).int64(columns);
  }
}
