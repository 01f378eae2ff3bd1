package dev.heddle.runtime.cuda;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;

/** Launches {@code elementwise.cu}. */
final class CudaElementwiseKernels {
  private final CudaLauncher launcher;
  private final CudaFunction unary;
  private final CudaFunction unaryBackward;
  private final CudaFunction binary;
  private final CudaFunction binaryBroadcast;
  private final CudaFunction scale;
  private final CudaFunction addScaled;
  private final CudaFunction swiglu;
  private final CudaFunction swigluBackward;
  private final StridedWalk walk = new StridedWalk();

  CudaElementwiseKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.unary = kernel("unary");
    this.unaryBackward = kernel("unary_backward");
    this.binary = kernel("binary");
    this.binaryBroadcast = kernel("binary_broadcast");
    this.scale = kernel("scale");
    this.addScaled = kernel("add_scaled");
    this.swiglu = kernel("swiglu");
    this.swigluBackward = kernel("swiglu_backward");
  }

  private CudaFunction kernel(String name) {
    return launcher.real("elementwise", "elementwise_" + name);
  }

  void unary(UnaryOperation op, NDArray x, NDArray y) {
    long n = x.size();
    LaunchArguments arguments = launcher.arguments().int32(op.ordinal()).int64(n);
    launcher.overPacks(unary, n, arguments.pointer(x).pointer(y));
  }

  void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    long n = x.size();
    LaunchArguments arguments = launcher.arguments().int32(op.ordinal()).int64(n);
    launcher.overPacks(unaryBackward, n, arguments.pointer(x).pointer(dy).pointer(dx));
  }

  void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    walk.start(y.shape());
    int left = walk.add(a);
    int right = walk.add(b);
    int result = walk.add(y);
    walk.cut();
    if (walk.isRun(left) && walk.isRun(right)) {
      long n = y.size();
      LaunchArguments arguments = launcher.arguments().int32(op.ordinal()).int64(n);
      launcher.overPacks(binary, n, arguments.pointer(a).pointer(b).pointer(y));
      return;
    }
    int bytes = launcher.dtype().byteSize();
    while (walk.next()) {
      LaunchArguments arguments =
          launcher
              .arguments()
              .int32(op.ordinal())
              .int32(walk.count())
              .int64s(walk.sizes(), StridedWalk.DIMS)
              .pointer(a.address() + bytes * walk.offset(left))
              .int64s(walk.strides(left), StridedWalk.DIMS)
              .pointer(b.address() + bytes * walk.offset(right))
              .int64s(walk.strides(right), StridedWalk.DIMS)
              .pointer(y.address() + bytes * walk.offset(result));
      launcher.overElements(binaryBroadcast, walk.count(), arguments);
    }
  }

  void scale(NDArray x, double alpha, NDArray y) {
    long n = x.size();
    LaunchArguments arguments = launcher.arguments().int64(n).pointer(x);
    launcher.overPacks(scale, n, launcher.scalar(arguments, alpha).pointer(y));
  }

  void addScaled(NDArray x, double alpha, NDArray y) {
    long n = x.size();
    LaunchArguments arguments = launcher.arguments().int64(n).pointer(x);
    launcher.overPacks(addScaled, n, launcher.scalar(arguments, alpha).pointer(y));
  }

  void swiglu(NDArray gate, NDArray up, NDArray y) {
    long columns = gate.dim(-1);
    long rows = gate.shape().rows();
    LaunchArguments arguments = gateAndUp(rows, columns, gate, up);
    launcher.overRows(swiglu, rows, columns, arguments.pointer(y));
  }

  void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    long columns = gate.dim(-1);
    long rows = gate.shape().rows();
    LaunchArguments arguments =
        gateAndUp(rows, columns, gate, up)
            .pointer(dy)
            .pointer(dgate)
            .int64(KernelChecks.rowStride(dgate))
            .pointer(dup)
            .int64(KernelChecks.rowStride(dup));
    launcher.overRows(swigluBackward, rows, columns, arguments);
  }

  private LaunchArguments gateAndUp(long rows, long columns, NDArray gate, NDArray up) {
    return launcher
        .arguments()
        .int64(rows)
        .int64(columns)
        .pointer(gate)
        .int64(KernelChecks.rowStride(gate))
        .pointer(up)
        .int64(KernelChecks.rowStride(up));
  }
}
