package dev.heddle.jmh;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;

/** Trains a {@link StepModel} on its one batch, step by step, on a device of its own. */
public final class StepTrainer implements AutoCloseable {
  private final StepModel model;
  private final Device device;
  private final MemoryScope lasting;
  private final StepTransformer transformer;
  private final AdamW optimizer;
  private final NDArray inputs;
  private final NDArray targets;

  /** A trainer with {@code threads} threads; it belongs to the calling thread. */
  public StepTrainer(StepModel model, int threads) {
    this(model, CpuDevice.open("step", threads, CpuBackend.BEST), DType.F32);
  }

  /**
   * A trainer on {@code device}, which it closes; it belongs to the calling thread.
   *
   * @param dtype of activations and gradients: F32, or BF16 with F32 master weights
   */
  public StepTrainer(StepModel model, Device device, DType dtype) {
    this.model = model;
    this.device = device;
    this.lasting = MemoryScope.open();
    this.transformer = new StepTransformer(model, new LocalLayers(device, dtype, 1));
    // The peer's settings: DJL's defaults.
    this.optimizer =
        new AdamW(
            transformer.parameters(), new AdamW.Settings(0.9, 0.999, 1e-8, StepModel.WEIGHT_DECAY));
    long batch = model.batchSize();
    long length = model.sequenceLength();
    this.inputs =
        model.causal()
            ? NDArray.of(device, Shape.of(batch * length), model.tokens())
            : patches(device, dtype, Shape.of(batch, length, StepModel.PATCH_SIZE), model);
    long[] classes = model.targets();
    this.targets = NDArray.of(device, Shape.of(classes.length), classes);
  }

  private static NDArray patches(Device device, DType dtype, Shape shape, StepModel model) {
    NDArray patches = NDArray.empty(device, dtype, shape);
    float[] values = model.patches();
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    patches.writeDoubles(wide);
    return patches;
  }

  /** Forward, backward and AdamW; returns the mean loss before the update. */
  public double step() {
    long count = targets.size();
    double loss;
    try (MemoryScope step = MemoryScope.open()) {
      Tensor sum = transformer.lossSum(inputs, targets);
      sum.backward();
      loss = sum.item() / count;
    }
    optimizer.step(StepModel.LEARNING_RATE, 1.0 / count);
    for (Parameter parameter : transformer.parameters()) {
      parameter.tensor().clearGradient();
    }
    return loss;
  }

  /** Where it computes. */
  public Device device() {
    return device;
  }

  /** What is trained. */
  public StepModel model() {
    return model;
  }

  @Override
  public void close() {
    lasting.close();
    device.close();
  }
}
