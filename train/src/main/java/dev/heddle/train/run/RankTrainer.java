package dev.heddle.train.run;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.optim.CosineSchedule;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.LossScaler;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.component.ModelRunner;
import dev.heddle.parallel.component.ParameterDirectory;
import dev.heddle.parallel.component.PendingStep;
import dev.heddle.parallel.component.StepRecorder;
import dev.heddle.parallel.component.StepResult;
import dev.heddle.parallel.trace.TraceRecorder;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.checkpoint.CheckpointStore;
import dev.heddle.train.config.ConfigWriter;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.config.TrainConfig;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.report.StepMetrics;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** One rank of a training run, from the first step to the last checkpoint. */
final class RankTrainer {
  static final String VOCABULARY = "vocabulary.json";

  private static final int CHECKPOINT_EVERY = 250;
  private static final double FLOOR = 0.02;

  private final RunConfig config;
  private final TrainingData data;
  private final Communicator world;
  private final Device device;
  private final TrainingListener listener;
  private final @Nullable TraceRecorder trace;
  private final boolean recordsSteps;

  /** The step that has been begun and not yet reported. */
  private @Nullable Begun begun;

  /** When a step was last reported, as {@link System#nanoTime()} has it. */
  private long reported = Long.MIN_VALUE;

  /** A step under way, and when it was begun. */
  private record Begun(long step, PendingStep pending, long start) {}

  /**
   * One rank's part of a run.
   *
   * @param recordsSteps whether the device records a step and repeats it
   */
  RankTrainer(
      RunConfig config,
      TrainingData data,
      Communicator world,
      Device device,
      boolean recordsSteps,
      TrainingListener listener) {
    this.config = config;
    this.data = data;
    this.world = world;
    this.device = device;
    this.listener = listener;
    this.trace = TraceRecorder.of(world);
    this.recordsSteps = recordsSteps;
  }

  /**
   * Trains.
   *
   * @param resumed where to go on, or null to begin
   * @param lastStep the step to stop after
   */
  void run(@Nullable Checkpoint resumed, long lastStep) {
    TrainConfig train = config.train();
    DType dtype = DTypes.of(config.dtype());
    try (MemoryScope scope = MemoryScope.open();
        StepRecorder recorder = recordsSteps ? new StepRecorder(device) : null) {
      ModelGraph graph = data.graph();
      Communicator steps = recorder == null ? world : recorder.communicator(world);
      int vocabulary = data.tokenizer().vocabularySize();
      Map<String, ComponentProgram> programs =
          CaptionModel.programs(
              config.model(),
              config.parallel(),
              vocabulary,
              graph,
              steps,
              device,
              dtype,
              config.seed());
      Map<String, ComponentOptimizer> optimizers = optimizers(config, steps, graph, programs);
      LossScaler scaler =
          train.lossScale() == 0 ? LossScaler.adaptive() : LossScaler.fixed(train.lossScale());
      ModelRunner runner =
          new ModelRunner(
              steps,
              graph,
              graph.schedule(config.parallel().schedule(), train.microBatches()),
              device,
              dtype,
              programs,
              optimizers,
              scaler);
      if (recorder != null) {
        runner.recordSteps(recorder);
      }
      ModelCheckpoint state =
          new ModelCheckpoint(
              directory(graph, vocabulary, dtype, programs, optimizers),
              device,
              dtype,
              optimizers,
              scaler);
      long done = 0;
      if (resumed != null) {
        state.load(resumed);
        done = resumed.step();
      }
      StepSamples samples = new StepSamples(config, data, world.globalRank(world.rank()), programs);
      Map<String, CosineSchedule> schedules = new LinkedHashMap<>();
      programs.keySet().forEach(name -> schedules.put(name, schedule(train.learningRate(name))));
      for (long step = done + 1; step <= lastStep; step++) {
        if (trace != null) {
          trace.step(step);
        }
        step(step, runner, samples, schedules);
        // A device that computes on its own is kept a step ahead of what is reported.
        if (!device.isAsynchronous() || step == lastStep || step % CHECKPOINT_EVERY == 0) {
          report();
        }
        if (step % CHECKPOINT_EVERY == 0 || step == lastStep) {
          save(step, state);
        }
      }
    }
  }

  /** One for each component of this rank; without parameters for one that is frozen. */
  static Map<String, ComponentOptimizer> optimizers(
      RunConfig config,
      Communicator world,
      ModelGraph graph,
      Map<String, ComponentProgram> programs) {
    Map<String, ComponentOptimizer> optimizers = new LinkedHashMap<>();
    programs.forEach(
        (name, program) -> {
          boolean divided =
              Objects.requireNonNull(config.parallel().placements().get(name))
                  .division()
                  .shardOptimizer();
          AdamW.Settings settings = AdamW.Settings.withDecay(config.train().weightDecay());
          List<Parameter> trained =
              graph.frozen().contains(name) ? List.of() : program.parameters();
          optimizers.put(
              name,
              new ComponentOptimizer(
                  world,
                  graph.component(name),
                  trained,
                  ComponentOptimizer.Options.of(settings)
                      .withDivided(divided)
                      .withSharedStages(CaptionModel.sharedStages(program))));
        });
    return optimizers;
  }

  private CosineSchedule schedule(double learningRate) {
    TrainConfig train = config.train();
    return new CosineSchedule(
        learningRate, train.warmupSteps(), train.steps(), learningRate * FLOOR);
  }

  /** What the parameters are called and shaped globally does not need their bytes. */
  private ParameterDirectory directory(
      ModelGraph graph,
      int vocabulary,
      DType dtype,
      Map<String, ComponentProgram> programs,
      Map<String, ComponentOptimizer> optimizers) {
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope shapes = MemoryScope.open()) {
      Map<String, List<Parameter>> global =
          CaptionModel.globalParameters(config.model(), vocabulary, graph, meta, dtype);
      return new ParameterDirectory(world, graph, global, programs, optimizers);
    }
  }

  private void step(
      long step, ModelRunner runner, StepSamples samples, Map<String, CosineSchedule> schedules) {
    long start = System.nanoTime();
    begin("samples");
    samples.stage(step);
    end();
    begin("training step");
    PendingStep pending =
        runner.begin(
            (boundary, microBatch) ->
                samples.rows(data.graph().boundary(boundary).source(), microBatch),
            new ModelRunner.Update(
                component -> Objects.requireNonNull(schedules.get(component)).at(step),
                config.train().clipNorm()));
    end();
    report();
    begun = new Begun(step, pending, start);
  }

  /** Tells what the step came to that was begun last, if it is not told yet. */
  private void report() {
    Begun last = begun;
    if (last == null) {
      return;
    }
    begun = null;
    StepResult result = last.pending.await();
    long peak = world.allReduce(device.memory().peakLiveBytes(), ReduceOp.MAX);
    if (world.rank() == 0) {
      // Where steps overlap, a step takes as long as the run goes on by it.
      long now = System.nanoTime();
      double seconds = (now - Math.max(last.start, reported)) * 1e-9;
      reported = now;
      listener.stepDone(
          new StepMetrics(
              last.step,
              result.loss(),
              result.tokens(),
              result.gradientNorm(),
              schedule(config.train().learningRate()).at(last.step),
              seconds,
              peak));
      if (result.skipped()) {
        listener.stepSkipped(last.step);
      }
    }
  }

  private void begin(String span) {
    if (trace != null) {
      trace.begin(span);
    }
  }

  private void end() {
    if (trace != null) {
      trace.end();
    }
  }

  private void save(long step, ModelCheckpoint state) {
    begin("checkpoint");
    // Rank 0 writes, and may have no optimizer of its own.
    long[] updates = state.updates();
    world.allReduce(updates, ReduceOp.MAX);
    if (world.rank() == 0) {
      CheckpointStore store =
          new CheckpointStore(CheckpointStore.folderOf(config.output()), TrainingRun.KEPT);
      Path folder =
          store.save(
              step,
              draft -> {
                draft.text("config.yaml", ConfigWriter.toYaml(config));
                draft.text(VOCABULARY, data.tokenizer().toJson());
                state.write(draft, updates);
              });
      listener.checkpointWritten(step, folder);
    } else {
      state.help();
    }
    world.barrier();
    end();
  }
}
