package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;

/** Launches {@code softmax.cu}. */
final class CudaSoftmaxKernels {
  private final CudaLauncher launcher;
  private final CudaFunction forward;
  private final CudaFunction backward;
  private final CudaFunction crossEntropy;
  private final CudaFunction crossEntropyBackward;

  CudaSoftmaxKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.forward = kernel("forward");
    this.backward = kernel("backward");
    this.crossEntropy = kernel("cross_entropy");
    this.crossEntropyBackward = kernel("cross_entropy_backward");
  }

  private CudaFunction kernel(String name) {
    return launcher.real("softmax", "softmax_" + name);
  }

  void softmax(NDArray x, NDArray y) {
    long columns = x.dim(-1);
    long rows = x.shape().rows();
    LaunchArguments arguments = sizes(rows, columns).pointer(x).pointer(y);
    launcher.overRows(forward, rows, columns, arguments);
  }

  void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    long columns = y.dim(-1);
    long rows = y.shape().rows();
    LaunchArguments arguments = sizes(rows, columns).pointer(y).pointer(dy).pointer(dx);
    launcher.overRows(backward, rows, columns, arguments);
  }

  void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    CudaRowFaults faults = launcher.rowFaults();
    long rows = logits.dim(0);
    long columns = logits.dim(1);
    LaunchArguments arguments =
        sizes(rows, columns)
            .pointer(logits)
            .pointer(targets)
            .int64(firstColumn)
            .int64(classes)
            .pointer(logSumExp)
            .pointer(targetLogit)
            .pointer(faults.address());
    launcher.overRows(crossEntropy, rows, columns, arguments);
    faults.check();
  }

  void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits) {
    long rows = logits.dim(0);
    long columns = logits.dim(1);
    LaunchArguments arguments =
        sizes(rows, columns)
            .pointer(logits)
            .pointer(targets)
            .int64(firstColumn)
            .pointer(logSumExp)
            .pointer(dloss)
            .pointer(dlogits);
    launcher.overRows(crossEntropyBackward, rows, columns, arguments);
  }

  private LaunchArguments sizes(long rows, long columns) {
    return launcher.arguments().int64(rows).int64(columns);
  }
}
