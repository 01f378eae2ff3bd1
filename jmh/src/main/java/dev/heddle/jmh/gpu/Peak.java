package dev.heddle.jmh.gpu;

import dev.heddle.runtime.cuda.CudaDeviceProperties;
import java.util.OptionalDouble;

/**
 * What a GPU's arithmetic could do: multiprocessors, times the greatest clock that the driver
 * names, times operations in a clock. These are known from NVIDIA's papers by compute capability;
 * where cards of one capability differ (tensor cores of 8.6, 8.9 and 12.0 add up in F32 at full
 * speed on some and at half on others) there is no figure.
 */
final class Peak {
  private Peak() {}

  /** In TFLOP/s, dense; empty where it is not known. */
  static OptionalDouble teraflops(CudaDeviceProperties gpu, String dtype, boolean simulated) {
    int operations = operationsPerClock(gpu.computeCapability(), dtype);
    return simulated || operations == 0
        ? OptionalDouble.empty()
        : OptionalDouble.of(
            (double) gpu.multiprocessors() * operations * gpu.clockKilohertz() * 1e3 * 1e-12);
  }

  /** Of one multiprocessor, a multiplication with its addition counted as two; 0: not known. */
  static int operationsPerClock(int capability, String dtype) {
    return switch (dtype) {
      case "f32" ->
          switch (capability) {
            case 75, 80 -> 128;
            case 86, 87, 89, 90, 100, 103, 120 -> 256;
            default -> 0;
          };
      case "tf32" ->
          switch (capability) {
            case 80 -> 1024;
            case 90 -> 2048;
            case 100 -> 4096;
            default -> 0;
          };
      case "bf16" ->
          switch (capability) {
            case 80 -> 2048;
            case 90 -> 4096;
            case 100 -> 8192;
            default -> 0;
          };
      default -> 0;
    };
  }
}
