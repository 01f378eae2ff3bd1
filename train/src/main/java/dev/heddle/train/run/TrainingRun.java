package dev.heddle.train.run;

import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.cli.DeviceKind;
import dev.heddle.train.cli.RankLauncher;
import dev.heddle.train.cli.ThreadLauncher;
import dev.heddle.train.config.RunConfig;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A training run: every rank with its share of the cores, a thread of this JVM or a process. */
public final class TrainingRun {
  /** How many checkpoints a run keeps. */
  static final int KEPT = 2;

  private final RunConfig config;
  private final TrainingData data;
  private final RankLauncher launcher;
  private final RankDevices devices;
  private final boolean graph;

  /** The run that {@code config} describes, every rank a thread of this JVM. */
  public TrainingRun(RunConfig config, TrainingData data) {
    this(config, data, new ThreadLauncher(), new RankDevices.Processors(), false);
  }

  /** The same on devices of that kind. */
  public TrainingRun(RunConfig config, TrainingData data, DeviceKind device) {
    this(config, data, device, false);
  }

  /**
   * The same on devices of that kind.
   *
   * @param graph whether devices record a step and repeat it, which those of CUDA can
   */
  public TrainingRun(RunConfig config, TrainingData data, DeviceKind device, boolean graph) {
    this(config, data, new ThreadLauncher(), RankDevices.of(device), graph);
  }

  /** The run that {@code config} describes, its ranks where {@code launcher} has them. */
  TrainingRun(
      RunConfig config,
      TrainingData data,
      RankLauncher launcher,
      RankDevices devices,
      boolean graph) {
    this.config = config;
    this.data = data;
    this.launcher = launcher;
    this.devices = devices;
    this.graph = graph;
  }

  /**
   * Trains; returns when the last checkpoint is written.
   *
   * @param resumed where to go on, or null to begin
   * @param lastStep the step to stop after
   * @param listener is told of each step, in the process that has rank 0
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
    launcher.run(
        ranks,
        devices.program(
            launcher,
            ranks,
            (world, device) ->
                RunTrace.run(
                    trace,
                    world,
                    device,
                    group ->
                        new RankTrainer(config, data, group, device, graph, listener)
                            .run(resumed, lastStep))));
  }
}
