package dev.heddle.jmh;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.ops.Scale;
import dev.heddle.optim.AdamW;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Our side of a comparison of operators. */
public final class HeddleOperatorWorker implements OperatorProtocol.Runner {
  private final CpuDevice device;
  private final Clock clock;
  private MemoryScope lasting = MemoryScope.open();
  private BenchmarkedOperator operator = BenchmarkedOperator.ADD_1;
  private List<Tensor> inputs = List.of();
  private NDArray words;
  private NDArray dy;
  private @Nullable AdamW optimizer;
  private @Nullable MemoryPass memoryPass;

  private HeddleOperatorWorker(CpuDevice device) {
    this.device = device;
    this.clock = new Clock(device.threads());
    this.words = NDArray.of(device, Shape.of(1), 0L);
    this.dy = NDArray.of(device, Shape.of(1), 0f);
  }

  @Override
  public OperatorProtocol.Prints prepare(BenchmarkedOperator next) {
    lasting.close();
    lasting = MemoryScope.open();
    operator = next;
    optimizer = null;
    memoryPass = null;
    inputs = new ArrayList<>();
    for (Shape shape : operator.shapes()) {
      inputs.add(Tensor.leaf(BenchmarkDevice.normal(device, 10 + inputs.size(), shape)));
    }
    if (operator.isUpdate()) {
      return prepareUpdate();
    }
    words = operator.words(device);
    OperatorProtocol.Prints prints = new OperatorProtocol.Prints();
    Shape shape;
    try (MemoryScope scope = MemoryScope.open()) {
      Tensor y = operator.apply(inputs, words);
      shape = y.shape();
      prints.add(y.value().toFloats());
    }
    dy = BenchmarkDevice.normal(device, 99, shape);
    try (MemoryScope scope = MemoryScope.open()) {
      operator.apply(inputs, words).backward(dy);
      for (Tensor input : inputs) {
        prints.add(input.gradientOrZeros().toFloats());
        input.clearGradient();
      }
    }
    return prints;
  }

  private OperatorProtocol.Prints prepareUpdate() {
    List<Parameter> parameters = new ArrayList<>();
    for (int i = 0; i < inputs.size(); i++) {
      Tensor input = inputs.get(i);
      NDArray gradient = BenchmarkDevice.normal(device, 1000 + i, input.shape());
      try (MemoryScope scope = MemoryScope.open()) {
        Scale.scale(input, 1).backward(gradient);
      }
      parameters.add(new Parameter("w" + i, input, input.shape(), Parameter.WHOLE, 0, true));
    }
    AdamW prepared =
        new AdamW(parameters, new AdamW.Settings(0.9, 0.999, 1e-8, StepModel.WEIGHT_DECAY));
    optimizer = prepared;
    memoryPass =
        new MemoryPass(device, inputs.stream().mapToLong(input -> input.shape().size()).sum());
    prepared.step(StepModel.LEARNING_RATE, 1);
    prepared.step(StepModel.LEARNING_RATE, 1);
    OperatorProtocol.Prints prints = new OperatorProtocol.Prints();
    inputs.forEach(input -> prints.add(input.value().toFloats()));
    return prints;
  }

  @Override
  public OperatorProtocol.Times once() {
    AdamW update = optimizer;
    if (update != null) {
      long start = clock.nanos();
      update.step(StepModel.LEARNING_RATE, 1);
      return new OperatorProtocol.Times(clock.nanos() - start, 0);
    }
    int repeats = operator.repeats();
    if (repeats > 1) {
      return new OperatorProtocol.Times(forwards(repeats), 0);
    }
    long start = clock.nanos();
    long middle;
    long end;
    try (MemoryScope scope = MemoryScope.open()) {
      Tensor y = operator.apply(inputs, words);
      middle = clock.nanos();
      y.backward(dy);
      end = clock.nanos();
    }
    for (Tensor input : inputs) {
      input.clearGradient();
    }
    return new OperatorProtocol.Times(middle - start, end - middle);
  }

  @Override
  public OperatorProtocol.Times pass() {
    MemoryPass bytes = memoryPass;
    if (bytes == null) {
      throw new IllegalStateException("HeddleOperatorWorker: no update was prepared");
    }
    long start = clock.nanos();
    bytes.run();
    return new OperatorProtocol.Times(clock.nanos() - start, 0);
  }

  private double forwards(int repeats) {
    long start = clock.nanos();
    for (int i = 0; i < repeats; i++) {
      try (MemoryScope scope = MemoryScope.open()) {
        operator.apply(inputs, words);
      }
    }
    return (double) (clock.nanos() - start) / repeats;
  }

  /** Argument: the number of threads. */
  public static void main(String[] arguments) throws IOException {
    try (CpuDevice device =
        CpuDevice.open("operators", Integer.parseInt(arguments[0]), CpuBackend.BEST)) {
      OperatorProtocol.serve(new HeddleOperatorWorker(device));
    }
    System.exit(0);
  }
}
