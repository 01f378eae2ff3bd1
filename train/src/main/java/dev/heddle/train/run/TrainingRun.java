package dev.heddle.train.run;

import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.config.RunConfig;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A training run: every rank a thread of this JVM with its share of the cores. */
public final class TrainingRun {
  /** How many checkpoints a run keeps. */
  static final int KEPT = 2;

  private final RunConfig config;
  private final TrainingData data;

  /** The run that {@code config} describes. */
  public TrainingRun(RunConfig config, TrainingData data) {
    this.config = config;
    this.data = data;
  }

  /**
   * Trains; returns when the last checkpoint is written.
   *
   * @param resumed where to go on, or null to begin
   * @param lastStep the step to stop after
   * @param listener is told of each step
   * @throws dev.heddle.parallel.comm.RankFailedException if a rank fails, naming it
   */
  public void train(@Nullable Checkpoint resumed, long lastStep, TrainingListener listener) {
    train(resumed, lastStep, listener, null);
  }

  /**
   * Trains, and writes what every rank did when.
   *
   * @param resumed where to go on, or null to begin
   * @param lastStep the step to stop after
   * @param listener is told of each step
   * @param trace the file for the trace, or null for none
   * @throws dev.heddle.parallel.comm.RankFailedException if a rank fails, naming it
   */
  public void train(
      @Nullable Checkpoint resumed,
      long lastStep,
      TrainingListener listener,
      @Nullable Path trace) {
    if (trace != null) {
      RunTrace.checkWritable(trace);
    }
    int ranks = config.parallel().ranks();
    LocalWorld.run(
        ranks,
        world -> {
          int rank = world.rank();
          try (CpuDevice device =
              CpuDevice.open("cpu:" + rank, threadsOf(rank, ranks), CpuBackend.BEST)) {
            RunTrace.run(
                trace,
                world,
                device,
                group ->
                    new RankTrainer(config, data, group, device, listener).run(resumed, lastStep));
          }
        });
  }

  /** A rank's share of the cores, at least one: the first ranks get what is left over. */
  static int threadsOf(int rank, int ranks) {
    int cores = Runtime.getRuntime().availableProcessors();
    return Math.max(1, cores / ranks + (rank < cores % ranks ? 1 : 0));
  }
}
