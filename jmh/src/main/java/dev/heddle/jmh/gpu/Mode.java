package dev.heddle.jmh.gpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.ProductOptions;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;

/**
 * How numbers are stored and multiplied: {@code f32}, {@code tf32} (products only), {@code bf16}.
 */
final class Mode {
  static final List<String> ALL = List.of("f32", "tf32", "bf16");

  private Mode() {}

  /** What arrays hold. */
  static DType dtype(String mode) {
    return mode.equals("bf16") ? DType.BF16 : DType.F32;
  }

  /** The first GPU, its products computed in that mode. */
  static CudaDevice open(String mode) {
    String before = System.getProperty(ProductOptions.TF32_PROPERTY);
    System.setProperty(ProductOptions.TF32_PROPERTY, Boolean.toString(mode.equals("tf32")));
    try {
      CudaDevice device = CudaDevice.open(0);
      startProducts(device);
      return device;
    } finally {
      if (before == null) {
        System.clearProperty(ProductOptions.TF32_PROPERTY);
      } else {
        System.setProperty(ProductOptions.TF32_PROPERTY, before);
      }
    }
  }

  /** The first product opens the library's handle, which reads the property. */
  private static void startProducts(CudaDevice device) {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray one = NDArray.full(device, DType.F32, Shape.of(1, 1), 1);
      NDArray product = NDArray.empty(device, DType.F32, 1, 1);
      device.kernels(DType.F32).gemm(one, false, one, false, 1, 0, product);
    }
  }
}
