package dev.heddle.jmh;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
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

/** Each operator of a transformer's step, forward alone and forward with backward. */
// One call takes longer than reading the clock by far, and its spread is the machine's: means.
@BenchmarkMode(Mode.AverageTime)
// From some ten to some ten thousand of them.
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
public class OperatorBenchmark {
  /** What is measured. */
  @Param public BenchmarkedOperator operator = BenchmarkedOperator.ADD_2048x384;

  private List<Tensor> inputs;
  private NDArray words;
  private NDArray dy;

  /** Makes inputs, and checks value and gradients against the reference kernels. */
  @Setup(Level.Trial)
  public void prepare(BenchmarkDevice on) {
    Device device = on.device();
    inputs = inputs(device);
    words = operator.words(device);
    try (CpuDevice reference = BenchmarkDevice.reference();
        MemoryScope scope = MemoryScope.open()) {
      List<Tensor> slowInputs = inputs(reference);
      Tensor slow = operator.apply(slowInputs, operator.words(reference));
      Tensor fast = operator.apply(inputs, words);
      Agreement.check(operator + ", value", fast.value(), slow.value());
      slow.backward(gradient(reference, slow.shape()));
      fast.backward(gradient(device, fast.shape()));
      for (int i = 0; i < inputs.size(); i++) {
        Agreement.check(
            operator + ", gradient of input " + i,
            inputs.get(i).gradientOrZeros(),
            slowInputs.get(i).gradientOrZeros());
      }
    }
    try (MemoryScope scope = MemoryScope.open()) {
      dy = scope.keep(gradient(device, operator.apply(inputs, words).shape()));
    }
    inputs.forEach(Tensor::clearGradient);
  }

  private List<Tensor> inputs(Device on) {
    List<Tensor> tensors = new ArrayList<>();
    for (Shape shape : operator.shapes()) {
      tensors.add(Tensor.leaf(BenchmarkDevice.normal(on, 10 + tensors.size(), shape)));
    }
    return tensors;
  }

  private static NDArray gradient(Device on, Shape shape) {
    return BenchmarkDevice.normal(on, 99, shape);
  }

  /** Value alone, nothing recorded. */
  @Benchmark
  public Object forward() {
    try (MemoryScope scope = MemoryScope.open();
        GradientMode off = GradientMode.noGrad()) {
      return operator.apply(inputs, words);
    }
  }

  /** Value and the gradients of all inputs. */
  @Benchmark
  public Object forwardBackward() {
    try (MemoryScope scope = MemoryScope.open()) {
      Tensor y = operator.apply(inputs, words);
      y.backward(dy);
    }
    for (Tensor input : inputs) {
      input.clearGradient();
    }
    return inputs;
  }
}
