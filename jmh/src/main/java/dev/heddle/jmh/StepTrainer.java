package dev.heddle.jmh;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.LocalLayers;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.data.GradientReduction;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import org.jspecify.annotations.Nullable;

/**
 * Trains a {@link BenchmarkModel} on its one batch, step by step, on a device of its own; alone or
 * as one of several data-parallel ranks.
 */
public final class StepTrainer implements AutoCloseable {
  private final BenchmarkModel model;
  private final Device device;
  private final MemoryScope lasting;
  private final StepNetwork network;
  private final AdamW optimizer;
  private final StepBatch batch;
  private final long lossCount;
  private final @Nullable GradientReduction reduction;
  private final Clock clock;
  private long optimizerNanos;

  /** A trainer with {@code threads} threads; it belongs to the calling thread. */
  public StepTrainer(BenchmarkModel model, int threads, DType dtype) {
    this(model, CpuDevice.open("step", threads, CpuBackend.BEST), dtype);
  }

  /**
   * A trainer on {@code device}, which it closes; it belongs to the calling thread.
   *
   * @param dtype of activations and gradients: F32, or BF16 with F32 master weights
   */
  public StepTrainer(BenchmarkModel model, Device device, DType dtype) {
    this(model, device, dtype, null);
  }

  /**
   * A trainer of one rank's share of the batch.
   *
   * @param replicas the ranks that divide the batch, or null for one that has all of it
   */
  StepTrainer(BenchmarkModel model, Device device, DType dtype, @Nullable Communicator replicas) {
    this.model = model;
    this.device = device;
    this.clock = new Clock(device instanceof CpuDevice processor ? processor.threads() : 2);
    this.lasting = MemoryScope.open();
    int ranks = replicas == null ? 1 : replicas.size();
    int rank = replicas == null ? 0 : replicas.rank();
    this.batch = StepBatch.of(model, device, dtype, rank, ranks);
    this.lossCount = batch.targets().size() * ranks;
    int samples =
        switch (model) {
          case StepModel step -> step.batchSize();
          case CaptionModel caption -> caption.batchSize();
        };
    this.network =
        StepNetwork.of(model.withBatchSize(samples / ranks), new LocalLayers(device, dtype, 1));
    // The peer's settings: DJL's defaults.
    this.optimizer =
        new AdamW(
            network.parameters(), new AdamW.Settings(0.9, 0.999, 1e-8, StepModel.WEIGHT_DECAY));
    this.reduction =
        replicas == null
            ? null
            : new GradientReduction(
                replicas, network.parameters(), GradientReduction.BUCKET_BYTES, false);
  }

  /**
   * Forward, backward and AdamW; returns the mean loss before the update, of several ranks this
   * rank's part of it.
   */
  public double step() {
    double loss;
    try (MemoryScope step = MemoryScope.open()) {
      if (reduction != null) {
        reduction.lastBackward(network.parameters());
      }
      Tensor sum = network.lossSum(batch);
      sum.backward();
      loss = sum.item() / lossCount;
    }
    if (reduction != null) {
      reduction.reduce();
    }
    long start = clock.nanos();
    optimizer.step(StepModel.LEARNING_RATE, 1.0 / lossCount);
    optimizerNanos = clock.nanos() - start;
    optimizer.clearGradients();
    return loss;
  }

  /** What the last step's update took; with one thread its CPU time. */
  long optimizerNanos() {
    return optimizerNanos;
  }

  /** Where it computes. */
  public Device device() {
    return device;
  }

  /** What is trained. */
  public BenchmarkModel model() {
    return model;
  }

  @Override
  public void close() {
    lasting.close();
    device.close();
  }
}
