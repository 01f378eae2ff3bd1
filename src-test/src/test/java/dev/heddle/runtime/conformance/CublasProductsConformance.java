package dev.heddle.runtime.conformance;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cuda.ProductsRig;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/** The suite's products by production's cuBLAS calls on a simulated cuBLAS. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class CublasProductsConformance implements ProductConformance {
  private Device one;
  private Device two;
  private Device control;

  @BeforeAll
  final void openDevices() {
    one = new ProductsRig("simulated cuBLAS 1");
    two = new ProductsRig("simulated cuBLAS 2");
    control = CpuDevice.open("control", 1, CpuBackend.REFERENCE);
  }

  /** Closing fails if memory, a handle or a descriptor leaked. */
  @AfterAll
  final void closeDevices() {
    one.close();
    two.close();
    control.close();
  }

  @Override
  public final Device subject() {
    return one;
  }

  @Override
  public final KernelCase kernelCase(String description) {
    double tolerance =
        switch (dtype()) {
          case F64 -> 1e-13;
          case F32 -> 1e-5;
          default -> 0x1p-6;
        };
    return new KernelCase(List.of(one, two), control, dtype(), tolerance, description);
  }
}
