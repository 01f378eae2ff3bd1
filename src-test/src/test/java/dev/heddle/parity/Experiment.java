package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.comm.mpi.MpiProcess;
import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.LossScaler;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.component.ModelRunner;
import dev.heddle.parallel.component.ParameterDirectory;
import dev.heddle.parallel.component.StepResult;
import dev.heddle.parallel.data.GradientReduction;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.model.AudioProgram;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.LanguageProgram;
import dev.heddle.train.model.VisionProgram;
import dev.heddle.train.model.Workload;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** A training run of the tiny model: what to change is set, then {@link #run} trains. */
final class Experiment {
  /** Programs as a test wants them: wrapped, counted, made to fail. */
  @FunctionalInterface
  interface Wrapper {
    /** What stands in for a component's program on a rank; the program itself by default. */
    ComponentProgram wrap(int rank, String component, ComponentProgram program);
  }

  ParallelConfig layout = Layouts.of("tp1@0 | tp1@0");
  ModelConfig model = TinyModel.CONFIG;
  Strategy strategy = Strategy.DIRECT;
  DType dtype = DType.F64;
  CpuBackend backend = CpuBackend.REFERENCE;
  int samples = 5;
  int microBatches = 1;
  double clipNorm = Double.POSITIVE_INFINITY;
  double learningRate = 1e-2;
  AdamW.Settings settings = AdamW.Settings.withDecay(0.01);
  Set<String> frozen = Set.of();
  Supplier<LossScaler> scaler = () -> LossScaler.fixed(1);
  long bucketBytes = GradientReduction.BUCKET_BYTES;

  /** Learning rates of components that have their own. */
  Map<String, Double> learningRates = Map.of();

  Duration timeout = Duration.ofSeconds(30);
  Wrapper wrapper = (rank, component, program) -> program;

  /** Samples without a valid target, in every step. */
  int[] padded = {};

  /** Samples without a picture, in every step. */
  int[] textOnly = {};

  boolean packed;

  /** Whether the language model is the only component; the ranks of the others idle. */
  boolean alone;

  /** The batches that are trained on, one a step. */
  List<Integer> batches = new ArrayList<>(Collections.nCopies(20, 0));

  Experiment() {
    steps(20);
  }

  static Experiment under(String layout) {
    Experiment experiment = new Experiment();
    experiment.layout = Layouts.of(layout);
    experiment.model = experiment.layout.audio() == null ? TinyModel.CONFIG : TinyModel.HEARING;
    return experiment;
  }

  /** The same on one rank: the control. */
  Experiment onOneRank() {
    Experiment control = copy();
    control.layout = Layouts.of(layout.audio() == null ? "tp1@0 | tp1@0" : "tp1@0 | tp1@0 | tp1@0");
    return control;
  }

  Experiment copy() {
    Experiment copy = new Experiment();
    copy.layout = layout;
    copy.model = model;
    copy.strategy = strategy;
    copy.dtype = dtype;
    copy.backend = backend;
    copy.samples = samples;
    copy.microBatches = microBatches;
    copy.clipNorm = clipNorm;
    copy.learningRate = learningRate;
    copy.settings = settings;
    copy.frozen = frozen;
    copy.scaler = scaler;
    copy.bucketBytes = bucketBytes;
    copy.learningRates = learningRates;
    copy.timeout = timeout;
    copy.wrapper = wrapper;
    copy.padded = padded;
    copy.textOnly = textOnly;
    copy.packed = packed;
    copy.alone = alone;
    copy.batches = batches;
    return copy;
  }

  /** Trains on the batches 0 to {@code count} - 1. */
  Experiment steps(int count) {
    List<Integer> numbers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      numbers.add(i);
    }
    batches = numbers;
    return this;
  }

  TinyBatch batch(int number) {
    return TinyBatch.of(
        number,
        samples,
        TinyModel.VOCABULARY,
        TinyModel.TEXT_LENGTH,
        padded,
        alone ? IntStream.range(0, samples).toArray() : textOnly,
        model.audio() != null && !alone);
  }

  ModelGraph graph() {
    ParallelConfig crossed =
        new ParallelConfig(
            layout.ranks(),
            layout.schedule(),
            strategy,
            layout.vision(),
            layout.audio(),
            layout.language());
    Workload work =
        new Workload(
            (double) samples / microBatches,
            1,
            model.audio() == null ? 0 : 3,
            TinyModel.TEXT_LENGTH,
            TinyModel.VOCABULARY);
    ModelGraph graph = CaptionModel.graph(model, crossed, packed, work);
    return alone ? new ModelGraph(List.of(graph.sink()), List.of()) : graph.withFrozen(frozen);
  }

  /** Trains with every rank a thread. */
  Outcome run() {
    Collected collected = new Collected();
    LocalWorld.builder(layout.ranks()).timeout(timeout).run(program(collected));
    return collected.outcome();
  }

  /** Trains with every rank a process; what this one's rank came to. All call it together. */
  Outcome runIn(MpiProcess process) {
    Collected collected = new Collected();
    process.run(timeout, program(collected));
    return collected.outcome();
  }

  private RankProgram program(Collected collected) {
    for (int rank = 0; rank < layout.ranks(); rank++) {
      collected.logs.add(new RankLog());
    }
    return RankProgram.onDevice(
        world -> CpuDevice.open("cpu:" + world.rank(), 1, backend),
        (world, device) -> new Rank(world, device, collected).train());
  }

  /** What the ranks hand in, each under its own number. */
  private static final class Collected {
    final Map<Integer, List<StepResult>> results = new TreeMap<>();
    final Map<Integer, List<Outcome.Shard>> shards = new TreeMap<>();
    final Map<Integer, List<Long>> optimizerSteps = new TreeMap<>();
    final Map<String, double[]> weights = new LinkedHashMap<>();
    final Map<String, double[]> moments = new LinkedHashMap<>();
    final List<RankLog> logs = new ArrayList<>();

    Outcome outcome() {
      List<StepResult> first = results.values().iterator().next();
      results.forEach(
          (rank, list) -> assertThat(list).as("step results of rank " + rank).isEqualTo(first));
      return new Outcome(
          first,
          weights,
          moments,
          shards.values().stream().flatMap(List::stream).toList(),
          optimizerSteps.values().stream().flatMap(List::stream).toList(),
          logs);
    }
  }

  /** One rank of the run. */
  private final class Rank {
    final Communicator world;
    final Device device;
    final Collected collected;
    final int rank;
    final ModelGraph graph = graph();
    final Map<String, ComponentProgram> programs;
    final Map<String, ComponentProgram> wrapped = new LinkedHashMap<>();
    final Map<String, ComponentOptimizer> optimizers = new LinkedHashMap<>();

    Rank(Communicator world, Device device, Collected collected) {
      this.world = world;
      this.device = device;
      this.collected = collected;
      this.rank = world.rank();
      programs =
          CaptionModel.programs(
              model, layout, TinyModel.VOCABULARY, graph, world, device, dtype, 11);
      programs.forEach(
          (name, program) -> {
            wrapped.put(name, wrapper.wrap(rank, name, program));
            optimizers.put(
                name,
                new ComponentOptimizer(
                    world,
                    graph.component(name),
                    frozen.contains(name) ? List.of() : program.parameters(),
                    ComponentOptimizer.Options.of(settings)
                        .withBucketBytes(bucketBytes)
                        .withSharedStages(CaptionModel.sharedStages(program))
                        .withDivided(layout.placements().get(name).division().shardOptimizer())));
          });
    }

    void train() {
      LossScaler lossScaler = scaler.get();
      ModelRunner runner =
          new ModelRunner(
              world,
              graph,
              graph.schedule(layout.schedule(), microBatches),
              device,
              dtype,
              wrapped,
              optimizers,
              lossScaler);
      List<StepResult> results = new ArrayList<>();
      RankLog log = collected.logs.get(rank);
      for (int number : batches) {
        long heap = heapBytes();
        CommunicationStatistics before = world.totalStatistics().snapshot();
        TinyBatch batch = batch(number);
        stage(batch);
        long staged = heapBytes();
        results.add(
            runner.step(
                (boundary, microBatch) ->
                    rows(batch, graph.boundary(boundary).source(), microBatch),
                new ModelRunner.Update(
                    component -> learningRates.getOrDefault(component, learningRate), clipNorm)));
        log.lossScales.add(lossScaler.scale());
        log.communication.add(world.totalStatistics().since(before));
        log.systemAllocations.add(device.memory().systemAllocations());
        log.heapBytes.add(heapBytes() - Math.max(heap, staged));
      }
      optimizers.forEach(
          (name, optimizer) -> log.stateBytes.put(name, optimizer.adamW().stateBytes()));
      log.peakBytes = device.memory().peakLiveBytes();
      handIn(results);
    }

    private void stage(TinyBatch batch) {
      if (programs.get(CaptionModel.VISION) instanceof VisionProgram vision) {
        Mesh mesh = graph.mesh(CaptionModel.VISION);
        vision.stage(
            batch.pictureCountsOf(mesh, rank, microBatches),
            batch.picturesOf(mesh, rank, microBatches));
      }
      if (programs.get(CaptionModel.AUDIO) instanceof AudioProgram audio) {
        Mesh mesh = graph.mesh(CaptionModel.AUDIO);
        audio.stage(
            batch.clipRowsOf(mesh, rank, microBatches), batch.clipsOf(mesh, rank, microBatches));
      }
      if (programs.get(CaptionModel.LANGUAGE) instanceof LanguageProgram language) {
        language.stage(
            batch.captionsOf(graph.mesh(CaptionModel.LANGUAGE), rank, microBatches, packed));
      }
    }

    private RowPlacement rows(TinyBatch batch, String encoder, int microBatch) {
      return CaptionModel.rows(layout, batch.fused(microBatches, microBatch, packed), encoder);
    }

    private void handIn(List<StepResult> results) {
      List<Outcome.Shard> shards = new ArrayList<>();
      List<Long> steps = new ArrayList<>();
      optimizers.values().stream()
          .filter(optimizer -> !optimizer.parameters().isEmpty())
          .forEach(optimizer -> steps.add(optimizer.adamW().steps()));
      for (ComponentProgram program : programs.values()) {
        for (Parameter parameter : program.parameters()) {
          int dim = parameter.shardDim();
          shards.add(
              new Outcome.Shard(
                  rank,
                  parameter.name(),
                  parameter.globalShape().toArray(),
                  dim,
                  parameter.shardStart(),
                  dim < 0 ? 0 : parameter.tensor().dim(dim),
                  parameter.tensor().value().toDoubles()));
        }
      }
      synchronized (collected) {
        collected.results.put(rank, results);
        collected.shards.put(rank, shards);
        collected.optimizerSteps.put(rank, steps);
      }
      gather();
    }

    private void gather() {
      try (MetaDevice meta = MetaDevice.open();
          MemoryScope inside = MemoryScope.open()) {
        ParameterDirectory directory =
            new ParameterDirectory(
                world,
                graph,
                CaptionModel.globalParameters(model, TinyModel.VOCABULARY, graph, meta, dtype),
                programs,
                optimizers);
        for (ParameterDirectory.Entry entry : directory.entries()) {
          put(
              collected.weights,
              entry.name(),
              directory.gather(entry, device, dtype, p -> p.tensor().value()));
          if (entry.state().isEmpty()) {
            continue;
          }
          put(
              collected.moments,
              entry.name() + ".firstMoment",
              directory.gatherState(
                  entry, device, dtype.accumulation(), p -> state(entry, p).firstMoment()));
          put(
              collected.moments,
              entry.name() + ".secondMoment",
              directory.gatherState(
                  entry, device, dtype.accumulation(), p -> state(entry, p).secondMoment()));
        }
      }
    }

    private AdamW.State state(ParameterDirectory.Entry entry, Parameter parameter) {
      return optimizers.get(entry.component()).adamW().state(parameter);
    }

    private static void put(Map<String, double[]> target, String name, @Nullable NDArray whole) {
      if (whole != null) {
        target.put(name, whole.toDoubles());
      }
    }
  }

  private static long heapBytes() {
    return ManagementFactory.getThreadMXBean() instanceof com.sun.management.ThreadMXBean threads
        ? threads.getCurrentThreadAllocatedBytes()
        : 0;
  }

  @Override
  public String toString() {
    return Layouts.toText(layout)
        + ", "
        + model
        + ", "
        + strategy.label()
        + ", "
        + dtype
        + ", "
        + samples
        + " samples of each of "
        + batches.size()
        + " batches in "
        + microBatches
        + " microbatches, padding only "
        + Arrays.toString(padded)
        + ", without a picture "
        + Arrays.toString(textOnly)
        + (packed ? ", packed" : "")
        + (alone ? ", language alone" : "")
        + ", clip "
        + clipNorm
        + ", rate "
        + learningRate
        + ", "
        + learningRates
        + ", frozen "
        + frozen
        + ", "
        + settings
        + ", "
        + backend;
  }
}
