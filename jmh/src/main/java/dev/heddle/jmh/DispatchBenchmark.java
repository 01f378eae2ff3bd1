package dev.heddle.jmh;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Add;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What an operator costs besides its arithmetic: checks, allocation from the pool, the graph's
 * record. One element is added, so there is nearly nothing else. {@code -prof gc} tells the heap
 * bytes of each call.
 */
// A call is about as long as reading the clock: only averages over many can be told.
@BenchmarkMode(Mode.AverageTime)
// Tens to hundreds of them.
@OutputTimeUnit(TimeUnit.NANOSECONDS)
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
public class DispatchBenchmark {
  private Tensor a;
  private Tensor b;
  private NDArray dy;

  /** Makes two numbers and checks their sum and its gradient. */
  @Setup(Level.Trial)
  public void prepare(BenchmarkDevice on) {
    a = Tensor.leaf(NDArray.of(on.device(), Shape.of(1), 1.5f));
    b = Tensor.constant(NDArray.of(on.device(), Shape.of(1), 2.25f));
    dy = NDArray.of(on.device(), Shape.of(1), 3f);
    if (addOnce() != 3.75) {
      throw new IllegalStateException("1.5 + 2.25 gave " + addOnce());
    }
    forwardBackward();
  }

  private double addOnce() {
    try (MemoryScope scope = MemoryScope.open()) {
      return Add.add(a, b).item();
    }
  }

  /** An addition that records its gradient. */
  @Benchmark
  public Object forward() {
    try (MemoryScope scope = MemoryScope.open()) {
      return Add.add(a, b);
    }
  }

  /** An addition and its backward. */
  @Benchmark
  public Object forwardBackward() {
    try (MemoryScope scope = MemoryScope.open()) {
      Add.add(a, b).backward(dy);
    }
    a.clearGradient();
    return a;
  }
}
