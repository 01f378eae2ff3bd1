package dev.heddle.autograd;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * A test with a device of its own: whatever a test leaves in use fails it when the device closes,
 * and so do gradients left off.
 */
abstract class DeviceTest {
  CpuDevice device;
  MemoryScope scope;

  @BeforeEach
  void openDevice() {
    device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
    scope = MemoryScope.open();
  }

  @AfterEach
  void closeDevice() {
    scope.close();
    device.close();
    if (!GradientMode.isEnabled()) {
      throw new AssertionError("the test left gradients off");
    }
  }

  /** An F64 vector. */
  NDArray vector(double... values) {
    return NDArray.of(device, DType.F64, Shape.of(values.length), values);
  }

  /** An F64 leaf. */
  Tensor leaf(double... values) {
    return Tensor.leaf(vector(values));
  }

  /** The gradient's values; fails if there is none. */
  static double[] gradient(Tensor leaf) {
    NDArray gradient = leaf.gradient();
    if (gradient == null) {
      throw new AssertionError("there is no gradient");
    }
    return gradient.toDoubles();
  }

  long liveBytes() {
    return device.memory().liveBytes();
  }
}
