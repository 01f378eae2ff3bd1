package dev.heddle.jmh.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * From {@code ./heddle train} on the captioning example to the end of its first training step, the
 * JVM's start included. There is no peer; the goal stands in its place.
 */
final class StartRows {
  private static final double GOAL_MILLIS = 3000;

  private final BenchOptions options;

  StartRows(BenchOptions options) {
    this.options = options;
  }

  List<Row> measure() throws IOException, InterruptedException {
    if (!Files.isExecutable(Peers.root().resolve("heddle"))) {
      options.say("start: the launcher is not there");
      return List.of();
    }
    List<Double> starts = new ArrayList<>();
    // The first one builds where that is needed, and leaves an archive of loaded classes behind.
    for (int i = -1; i < (options.quick() ? 3 : 7); i++) {
      double millis = start();
      if (i >= 0) {
        starts.add(millis);
      }
    }
    Row row =
        new Row(
            "start to first step, captioning example",
            Runtime.getRuntime().availableProcessors(),
            "f32",
            Medians.of(starts),
            GOAL_MILLIS,
            "the goal, no peer",
            "ms",
            1);
    options.say("  " + BenchTable.line(row));
    return List.of(row);
  }

  private static double start() throws IOException, InterruptedException {
    Path metrics = Files.createTempFile("heddle-bench", ".jsonl");
    Files.delete(metrics);
    Path output = Files.createTempFile("heddle-bench", ".txt");
    List<String> command =
        List.of(
            Peers.root().resolve("heddle").toAbsolutePath().toString(),
            "train",
            Peers.root().resolve("examples/emoji-captions.yaml").toString(),
            "--set",
            "output=" + Files.createTempDirectory("heddle-bench"),
            "--steps",
            "3",
            "--metrics",
            metrics.toString());
    long start = System.nanoTime();
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    try {
      while (!Files.exists(metrics) || Files.size(metrics) == 0) {
        if (process.waitFor(5, TimeUnit.MILLISECONDS) && !Files.exists(metrics)) {
          throw new IOException("heddle train ended:\n" + Files.readString(output));
        }
      }
      double millis = (System.nanoTime() - start) * 1e-6;
      process.waitFor(10, TimeUnit.MINUTES);
      return millis;
    } finally {
      process.destroy();
      Files.deleteIfExists(metrics);
      Files.deleteIfExists(output);
    }
  }
}
