package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * A test with a device of its own: whatever a test leaves in use fails it when the device closes.
 * Values come from {@code -Dheddle.seed}, which failures print.
 */
public abstract class DeviceTest {
  /** The seed of all random values in these tests. */
  protected static final long SEED = Long.getLong("heddle.seed", 20261122);

  protected CpuDevice device;
  protected MemoryScope scope;
  protected Random random;

  /** For subclasses. */
  protected DeviceTest() {}

  @BeforeEach
  void openDevice() {
    device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
    scope = MemoryScope.open();
    random = new Random(SEED);
  }

  @AfterEach
  void closeDevice() {
    scope.close();
    device.close();
  }

  /** F64 values uniform in [-1, 1). */
  protected NDArray values(long... dims) {
    return between(-1, 1, dims);
  }

  /** F64 values uniform in [low, high). */
  protected NDArray between(double low, double high, long... dims) {
    Shape shape = Shape.of(dims);
    double[] values = random.doubles(shape.size(), low, high).toArray();
    return NDArray.of(device, DType.F64, shape, values);
  }

  /** An F64 leaf with values uniform in [-1, 1). */
  protected Tensor leaf(long... dims) {
    return Tensor.leaf(values(dims));
  }

  /** A vector of I64. */
  protected NDArray longs(long... values) {
    return NDArray.of(device, Shape.of(values.length), values);
  }

  /** An F64 array with the given values. */
  protected NDArray array(Shape shape, double... values) {
    return NDArray.of(device, DType.F64, shape, values);
  }
}
