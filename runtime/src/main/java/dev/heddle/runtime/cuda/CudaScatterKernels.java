package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;

/** Launches {@code scatter.cu}. */
final class CudaScatterKernels {
  private static final int COLUMNS = 4 * CudaLauncher.THREADS;

  private final CudaLauncher launcher;
  private final CudaFunction addRows;

  CudaScatterKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.addRows = launcher.real("scatter", "scatter_add_rows");
  }

  void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    CudaRowFaults faults = launcher.rowFaults();
    long n = rows.size();
    long columns = x.dim(1);
    LaunchArguments arguments =
        launcher
            .arguments()
            .int64(n)
            .int64(columns)
            .pointer(x)
            .int64(x.stride(0))
            .pointer(rows)
            .int32(rows.dtype() == DType.I64 ? 1 : 0)
            .pointer(y)
            .int64(y.stride(0))
            .int64(y.dim(0))
            .pointer(faults.address());
    // With no columns there is still a block for each entry, to see that it is in range.
    int tiles = (int) Math.max(1, CudaLauncher.ceilDivide(columns, COLUMNS));
    launcher.launch(addRows, Math.toIntExact(n), tiles, 1, CudaLauncher.THREADS, 1, arguments);
    faults.check();
  }
}
