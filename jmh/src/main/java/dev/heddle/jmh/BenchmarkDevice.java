package dev.heddle.jmh;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Random;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The device that a benchmark runs on, with a scope for what lasts as long as the trial. */
@State(Scope.Thread)
public class BenchmarkDevice {
  /** The kernels: VECTOR is plain Java, BEST uses the natives that it finds. */
  @Param({"BEST", "VECTOR"})
  public CpuBackend backend = CpuBackend.BEST;

  /** Threads that compute. */
  @Param({"1", "2"})
  public int threads;

  private CpuDevice device;
  private MemoryScope lasting;

  /** Opens the device and the scope, on the benchmark's own thread. */
  @Setup(Level.Trial)
  public void open() {
    device = CpuDevice.open("benchmark", threads, backend);
    lasting = MemoryScope.open();
  }

  /** Closes both. */
  @TearDown(Level.Trial)
  public void close() {
    lasting.close();
    device.close();
  }

  CpuDevice device() {
    return device;
  }

  /** Normal values from a fixed seed, the same on every device. */
  static NDArray normal(Device device, long seed, Shape shape) {
    Random random = new Random(seed);
    float[] values = new float[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return NDArray.of(device, shape, values);
  }

  /** Whole numbers below {@code bound} from a fixed seed. */
  static NDArray whole(Device device, long seed, int bound, Shape shape) {
    Random random = new Random(seed);
    long[] values = new long[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextInt(bound);
    }
    return NDArray.of(device, shape, values);
  }

  /** Opens a device with the reference kernels, to check against. */
  static CpuDevice reference() {
    return CpuDevice.open("reference", 1, CpuBackend.REFERENCE);
  }

  /** The type of all benchmarks. */
  static DType dtype() {
    return DType.F32;
  }
}
