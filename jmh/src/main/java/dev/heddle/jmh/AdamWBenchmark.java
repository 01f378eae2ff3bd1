package dev.heddle.jmh;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** The optimizer on one tensor: 28 bytes read and written a parameter. */
// A step takes as long as its bytes: the mean of many, to set beside a copy of as many.
@BenchmarkMode(Mode.AverageTime)
// From some ten to some thousand of them.
@OutputTimeUnit(TimeUnit.MICROSECONDS)
// C2 is through with an operator's loops after two or three seconds.
@Warmup(iterations = 4, time = 1)
// Five, so that one disturbed second shows as such.
@Measurement(iterations = 5, time = 1)
// A JVM of its own: type profiles of other benchmarks would make kernels slower. Vectors and native
// calls as ./heddle has them; the leak detector would be measured too.
@Fork(
    value = 1,
    jvmArgsAppend = {
      "--add-modules=jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-Dheddle.leaks=off"
    })
// The thread that opened a scope of memory must close it.
@State(Scope.Thread)
public class AdamWBenchmark {
  private static final AdamWStep STEP = new AdamWStep(3e-4, 0.9, 0.95, 1e-8, 0.01, 7, 1);

  /** Parameters. */
  @Param({"589824", "8388608"})
  public long size;

  private NDArray weight;
  private NDArray gradient;
  private NDArray first;
  private NDArray second;

  /** Makes the tensors and checks one step. */
  @Setup(Level.Trial)
  public void prepare(BenchmarkDevice on) {
    NDArray[] ours = arrays(on.device());
    weight = ours[0];
    gradient = ours[1];
    first = ours[2];
    second = ours[3];
    adamW();
    try (CpuDevice reference = BenchmarkDevice.reference();
        MemoryScope scope = MemoryScope.open()) {
      NDArray[] slow = arrays(reference);
      slow[0].kernels().adamW(STEP, slow[0], slow[1], slow[2], slow[3], null);
      Agreement.check("AdamW, weight", weight, slow[0]);
      Agreement.check("AdamW, second moment", second, slow[3]);
    }
  }

  private NDArray[] arrays(CpuDevice device) {
    Shape shape = Shape.of(size);
    return new NDArray[] {
      BenchmarkDevice.normal(device, 1, shape),
      BenchmarkDevice.normal(device, 2, shape),
      NDArray.zeros(device, BenchmarkDevice.dtype(), shape),
      NDArray.zeros(device, BenchmarkDevice.dtype(), shape)
    };
  }

  /** One step. */
  @Benchmark
  public NDArray adamW() {
    weight.kernels().adamW(STEP, weight, gradient, first, second, null);
    return weight;
  }
}
