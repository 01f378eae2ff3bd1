package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.memory.Block;

/** Counts launches instead of making them. */
final class PaperLauncher extends CudaLauncher {
  private final PaperGpu device;
  private final PaperTally tally;
  private final CudaRowFaults noFaults = CudaRowFaults.onPaper();

  PaperLauncher(PaperGpu device, PaperTally tally, DType dtype) {
    super(dtype);
    this.device = device;
    this.tally = tally;
  }

  @Override
  PaperGpu device() {
    return device;
  }

  @Override
  int computeCapability() {
    return device.computeCapability();
  }

  @Override
  CudaRowFaults rowFaults() {
    return noFaults;
  }

  @Override
  CudaFunction function(String module, String kernel) {
    return CudaFunction.onPaper(kernel);
  }

  @Override
  LaunchArguments arguments() {
    return device.arguments();
  }

  @Override
  Block scratch(long bytes) {
    tally.borrowed(bytes);
    return super.scratch(bytes);
  }

  /** As on a GPU a grid without blocks launches nothing. */
  @Override
  void launch(
      CudaFunction kernel,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      LaunchArguments arguments) {
    if (gridX > 0 && gridY > 0 && gridZ > 0) {
      tally.launched(kernel.name());
    }
  }
}
