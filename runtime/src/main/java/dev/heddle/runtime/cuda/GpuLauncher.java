package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;

/** Launches on the stream of a GPU. */
final class GpuLauncher extends CudaLauncher {
  private final CudaDevice device;

  GpuLauncher(CudaDevice device, DType dtype) {
    super(dtype);
    this.device = device;
  }

  @Override
  CudaDevice device() {
    return device;
  }

  @Override
  int computeCapability() {
    return device.properties().computeCapability();
  }

  @Override
  CudaRowFaults rowFaults() {
    return device.rowFaults();
  }

  @Override
  CudaFunction function(String module, String kernel) {
    return CudaPtx.function(device, module, kernel);
  }

  @Override
  LaunchArguments arguments() {
    return device.arguments();
  }

  @Override
  void launch(
      CudaFunction kernel,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      LaunchArguments arguments) {
    kernel.launch(device.stream(), gridX, gridY, gridZ, blockX, blockY, 1, 0, arguments);
  }
}
