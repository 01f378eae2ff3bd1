package dev.heddle.jmh.gpu;

import dev.heddle.train.cli.DeviceKind;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.run.TrainingData;
import dev.heddle.train.run.TrainingRun;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The captioning example, small, trained a few steps on the processor and on GPUs. */
final class CaptioningCheck {
  /** With a graph the first is run, the second recorded, and two are repetitions. */
  private static final int STEPS = 4;

  private static final double TOLERANCE = 1e-4;
  private static final String ANSWER = "LOSSES";

  private static final List<String> SMALL =
      List.of(
          "model.vision.layers=1",
          "model.vision.hiddenSize=24",
          "model.vision.heads=3",
          "model.vision.patchSize=8",
          "model.projector.hiddenSize=20",
          "model.language.layers=1",
          "model.language.hiddenSize=32",
          "model.language.heads=4",
          "train.globalBatch=4");

  /** Layouts by name, with the settings that make them. */
  private static final Map<String, List<String>> LAYOUTS = layouts();

  private CaptioningCheck() {}

  /**
   * A run on GPUs beside the same on the processor.
   *
   * @param layout where the components are
   * @param exchange how ranks exchange arrays
   * @param graph whether steps were recorded and repeated
   * @param cpu the processor's losses
   * @param gpu the GPUs' losses; empty where the run failed
   * @param failure what went wrong; empty text if nothing did
   */
  record Result(
      String layout,
      String exchange,
      boolean graph,
      List<Double> cpu,
      List<Double> gpu,
      String failure) {
    /** The largest difference of a loss, relative to the processor's. */
    double difference() {
      if (gpu.size() != cpu.size()) {
        return Double.NaN;
      }
      double largest = 0;
      for (int i = 0; i < cpu.size(); i++) {
        // Math.max keeps a NaN, which a loss may be.
        largest = Math.max(largest, Math.abs(gpu.get(i) / cpu.get(i) - 1));
      }
      return largest;
    }

    boolean isRight() {
      return difference() <= TOLERANCE;
    }

    Map<String, @Nullable Object> toMap() {
      Map<String, @Nullable Object> map = new LinkedHashMap<>();
      map.put("layout", layout);
      map.put("exchange", exchange);
      map.put("graph", graph);
      map.put("cpu_losses", cpu);
      map.put("gpu_losses", gpu);
      map.put("largest_relative_difference", difference());
      map.put("tolerance", TOLERANCE);
      map.put("agrees", isRight());
      map.put("failure", failure);
      return map;
    }
  }

  private static Map<String, List<String>> layouts() {
    Map<String, List<String>> layouts = new LinkedHashMap<>();
    layouts.put("1 rank", layout(1, "0", "dp=1", "0", "tp=1"));
    layouts.put("2 ranks, vision dp 2, language tp 2", layout(2, "0-1", "dp=2", "0-1", "tp=2"));
    layouts.put(
        "2 ranks, vision on one, language on the other", layout(2, "0", "dp=1", "1", "tp=1"));
    return Collections.unmodifiableMap(layouts);
  }

  private static List<String> layout(
      int ranks, String vision, String visionAxis, String language, String languageAxis) {
    return List.of(
        "parallel.ranks=" + ranks,
        "parallel.vision.ranks=" + vision,
        "parallel.vision." + visionAxis,
        "parallel.language.ranks=" + language,
        "parallel.language." + languageAxis);
  }

  /**
   * All layouts, each step by step and as a graph. Two ranks share a GPU where there is only one.
   *
   * @param nccl whether NCCL is there and each of two ranks has a GPU
   * @param alsoWithout whether to run once more without NCCL, in a JVM that has it switched off
   */
  static List<Result> run(Path root, boolean nccl, boolean alsoWithout) {
    List<Result> results = new ArrayList<>();
    for (Map.Entry<String, List<String>> layout : LAYOUTS.entrySet()) {
      String name = layout.getKey();
      List<Double> control = losses(root, name, DeviceKind.cpu, false);
      boolean alone = name.equals("1 rank");
      String exchange = alone ? "none" : nccl ? "NCCL" : "main memory";
      for (boolean graph : new boolean[] {false, true}) {
        results.add(result(name, exchange, graph, control, () -> gpu(root, name, graph)));
        if (nccl && alsoWithout && !alone) {
          results.add(
              result(name, "main memory", graph, control, () -> withoutNccl(root, name, graph)));
        }
      }
    }
    return results;
  }

  private interface Losses {
    List<Double> get() throws IOException, InterruptedException;
  }

  private static Result result(
      String layout, String exchange, boolean graph, List<Double> control, Losses losses) {
    try {
      return new Result(layout, exchange, graph, control, losses.get(), "");
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
      return new Result(layout, exchange, graph, control, List.of(), stopped.toString());
    } catch (IOException | RuntimeException failure) {
      return new Result(layout, exchange, graph, control, List.of(), failure.toString());
    }
  }

  private static List<Double> gpu(Path root, String layout, boolean graph) {
    return losses(root, layout, DeviceKind.cuda, graph);
  }

  private static List<Double> losses(Path root, String layout, DeviceKind device, boolean graph) {
    List<String> settings = new ArrayList<>(SMALL);
    settings.addAll(LAYOUTS.getOrDefault(layout, List.of()));
    try {
      Path folder = Files.createTempDirectory("heddle-check");
      try {
        settings.add("output='" + folder.resolve("run") + "'");
        RunConfig config =
            ConfigLoader.load(
                root.resolve("examples").resolve("emoji-captions.yaml"),
                settings.stream().map(ConfigOverride::set).toList());
        List<Double> losses = new ArrayList<>();
        new TrainingRun(config, TrainingData.open(config), device, graph)
            .train(null, STEPS, step -> losses.add(step.loss()));
        return losses;
      } finally {
        remove(folder);
      }
    } catch (IOException failure) {
      throw new UncheckedIOException("captioning example, " + layout, failure);
    }
  }

  private static void remove(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Collections.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  /** A library once loaded stays, so this takes another JVM. */
  private static List<Double> withoutNccl(Path root, String layout, boolean graph)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.add("-Dheddle.nccl=off");
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(CaptioningCheck.class.getName());
    command.add(root.toString());
    command.add(layout);
    command.add(String.valueOf(graph));
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    String output;
    try (BufferedReader lines = process.inputReader()) {
      output =
          lines.lines().filter(line -> line.startsWith(ANSWER)).reduce("", (first, last) -> last);
    }
    int status = process.waitFor();
    if (status != 0 || output.isEmpty()) {
      throw new IllegalStateException(
          "the run without NCCL ended with " + status + "; what it said is above");
    }
    return Arrays.stream(output.substring(ANSWER.length()).strip().split(" "))
        .map(Double::valueOf)
        .toList();
  }

  /**
   * One run on GPUs in a JVM of its own. Arguments: Heddle's folder, the layout's name, and whether
   * as a graph.
   */
  public static void main(String[] arguments) {
    StringBuilder answer = new StringBuilder(ANSWER);
    gpu(Path.of(arguments[0]), arguments[1], Boolean.parseBoolean(arguments[2]))
        .forEach(loss -> answer.append(' ').append(loss));
    System.out.println(answer);
  }
}
