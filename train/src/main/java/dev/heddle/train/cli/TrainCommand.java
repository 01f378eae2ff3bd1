package dev.heddle.train.cli;

import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code heddle train}. */
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    versionProvider = HeddleCommand.Version.class,
    description = "Trains a model and writes metrics, checkpoints and a report.",
    footer = {
      "",
      "Examples:",
      "  heddle train examples/emoji-captions.yaml",
      "  heddle train CONFIG --set parallel.language.tp=2 --steps 50",
      "  heddle train --resume runs/emoji-captions",
      "  heddle train CONFIG --steps 20 --trace run.json",
      "  heddle train CONFIG --device cuda --graph",
      "  mpirun -n 4 --bind-to none heddle train CONFIG --launch mpi --set parallel.ranks=4"
    })
final class TrainCommand implements Callable<Integer> {
  private final Application application;
  private final PrintStream out;

  @Spec private CommandSpec spec;

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "CONFIG",
      description = "The configuration (YAML). With --resume it may be left out.")
  private @Nullable Path config;

  @Option(
      names = "--set",
      paramLabel = "a.b.c=VALUE",
      description =
          "Overrides a key of the configuration; VALUE is YAML. May be repeated, the last wins.")
  private List<String> sets = new ArrayList<>();

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = {
        "Stops after step N. The learning rate follows the schedule of train.steps, so that a run"
            + " that is resumed later has the same losses; an N beyond train.steps lengthens it."
      })
  private @Nullable Integer steps;

  @Option(
      names = "--metrics",
      paramLabel = "FILE",
      description =
          "Where the metrics of each step go; metrics.jsonl in the output folder if not said.")
  private @Nullable Path metrics;

  @Option(
      names = "--resume",
      paramLabel = "DIR",
      description = {
        "Goes on from the newest checkpoint of a run's output folder, under any layout. Without"
            + " CONFIG the run's own configuration is used."
      })
  private @Nullable Path resume;

  @Option(
      names = "--trace",
      paramLabel = "FILE",
      description = {
        "Records what every rank computes, sends and waits for, and writes it as a trace for"
            + " Perfetto or chrome://tracing. Of a long run the first and the last"
            + " steps are kept."
      })
  private @Nullable Path trace;

  @Option(names = "--seed", paramLabel = "N", description = "Overrides the key seed.")
  private @Nullable String seed;

  @Option(
      names = "--launch",
      paramLabel = "local|mpi",
      description = {
        "What ranks are: threads of this JVM (local, the default), or the processes that mpirun has"
            + " started (mpi), as many as parallel.ranks says."
      })
  private Launch launch = Launch.local;

  @Option(
      names = "--device",
      paramLabel = "cpu|cuda",
      description = {
        "What ranks compute on: the cores of this machine (cpu, the default), or its NVIDIA GPUs"
            + " (cuda), which they take in turn. heddle doctor shows what there is."
      })
  private DeviceKind device = DeviceKind.cpu;

  @Option(
      names = "--graph",
      description = {
        "Has each GPU record a training step and repeat it: one call for many kernels, the same"
            + " numbers. Steps whose shapes differ from all before are run one kernel at a time."
      })
  private boolean graph;

  @SuppressWarnings("NullAway.Init") // picocli sets the specification.
  TrainCommand(Application application, PrintStream out) {
    this.application = application;
    this.out = out;
  }

  @Override
  public Integer call() throws Exception {
    if (launch == Launch.mpi) {
      return new ProcessRun(spec.commandLine(), application, out).train(this::request);
    }
    application.train(request(), new ThreadLauncher(), out);
    return CommandLine.ExitCode.OK;
  }

  private static boolean isOutput(ConfigOverride override) {
    return override.key().equals("output");
  }

  private TrainRequest request() {
    Path file = config;
    if (file == null) {
      if (resume == null) {
        throw new ParameterException(spec.commandLine(), "name a configuration, CONFIG");
      }
      file = resume.resolve(RunFolder.CONFIG);
    }
    List<ConfigOverride> overrides = new ArrayList<>();
    sets.forEach(set -> overrides.add(ConfigOverride.set(set)));
    if (seed != null) {
      overrides.add(ConfigOverride.option("--seed", "seed", seed));
    }
    RunConfig loaded = ConfigLoader.load(file, overrides);
    if (config == null && resume != null && overrides.stream().noneMatch(TrainCommand::isOutput)) {
      // The run's own folder, wherever it was moved to and from wherever it is resumed.
      loaded = loaded.withOutput(resume);
    }
    if (graph && device != DeviceKind.cuda) {
      throw new ParameterException(
          spec.commandLine(), "--graph: GPUs record steps, so it goes with --device cuda");
    }
    int lastStep = loaded.train().steps();
    if (steps != null) {
      if (steps < 1) {
        throw new ParameterException(
            spec.commandLine(), "--steps " + steps + ": accepted: a whole number of at least 1");
      }
      lastStep = steps;
    }
    if (lastStep > loaded.train().steps()) {
      loaded = loaded.withSteps(lastStep);
    }
    Path metricsFile = metrics != null ? metrics : loaded.output().resolve(RunFolder.METRICS);
    return new TrainRequest(
        loaded,
        lastStep,
        metricsFile,
        Optional.ofNullable(resume),
        Optional.ofNullable(trace),
        device,
        graph);
  }
}
