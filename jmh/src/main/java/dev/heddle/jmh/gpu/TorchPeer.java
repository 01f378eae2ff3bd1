package dev.heddle.jmh.gpu;

import dev.heddle.train.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** The same operations in PyTorch, by {@code gpu_peer.py}, where a Python has it with CUDA. */
final class TorchPeer {
  private static final long MINUTES = 30;

  /**
   * What PyTorch said.
   *
   * @param state one line: its version, or why there is none
   * @param seconds median times by the operations' names; none where it is absent
   */
  record Answer(String state, Map<String, Double> seconds, Map<String, String> failures) {
    boolean isThere() {
      return !seconds.isEmpty();
    }

    List<Figure> beside(List<Figure> figures) {
      List<Figure> with = new ArrayList<>();
      for (Figure figure : figures) {
        Double peer = seconds.get(figure.operation().name());
        with.add(peer == null ? figure : figure.beside(peer));
      }
      return with;
    }

    Map<String, @Nullable Object> toMap() {
      Map<String, @Nullable Object> map = new LinkedHashMap<>();
      map.put("state", state);
      map.put("measured", isThere());
      map.put("failures", failures);
      return map;
    }
  }

  private static final String PROBE =
      "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 3)";

  private final CheckOptions options;

  TorchPeer(CheckOptions options) {
    this.options = options;
  }

  /** Measures {@code operations}; never fails: what goes wrong is in the state. */
  Answer measure(List<Operation> operations) {
    try {
      int found = run(List.of(options.python(), "-c", PROBE), null);
      if (found != 0) {
        return absent(
            found == 3
                ? options.python() + " has PyTorch, but without CUDA: nothing to compare with"
                : options.python() + " has no PyTorch: nothing to compare with");
      }
      Path folder = Files.createTempDirectory("heddle-peer");
      Path request = folder.resolve("operations.json");
      Path answer = folder.resolve("answer.json");
      Path log = folder.resolve("log");
      try {
        Map<String, @Nullable Object> map = new LinkedHashMap<>();
        map.put("rounds", (long) options.rounds().count());
        map.put("seconds", options.rounds().seconds());
        map.put("operations", operations.stream().map(Operation::toMap).toList());
        Files.writeString(request, Json.write(map));
        Path script =
            options.root().resolve(Path.of("jmh", "src", "main", "python", "gpu_peer.py"));
        int status =
            run(
                List.of(options.python(), script.toString(), request.toString(), answer.toString()),
                log);
        if (status != 0) {
          List<String> said = Files.readAllLines(log);
          return absent(
              "PyTorch's side ended with "
                  + status
                  + (said.isEmpty() ? "" : ": " + said.getLast()));
        }
        return read(Files.readString(answer));
      } finally {
        for (Path file : List.of(request, answer, log, folder)) {
          Files.deleteIfExists(file);
        }
      }
    } catch (IOException missing) {
      return absent(options.python() + " does not start: nothing to compare with");
    } catch (InterruptedException stopped) {
      Thread.currentThread().interrupt();
      return absent("interrupted");
    }
  }

  private static Answer absent(String why) {
    return new Answer(why, Map.of(), Map.of());
  }

  private static Answer read(String text) {
    Map<String, @Nullable Object> map = Json.parseObject(text);
    Map<String, Double> seconds = new LinkedHashMap<>();
    Json.object(map.get("seconds"), "seconds")
        .forEach((name, value) -> seconds.put(name, Json.number(value, name)));
    Map<String, String> failures = new LinkedHashMap<>();
    Json.object(map.get("failures"), "failures")
        .forEach((name, value) -> failures.put(name, Json.text(value, name)));
    return new Answer(Json.text(map.get("state"), "state"), seconds, failures);
  }

  private static int run(List<String> command, @Nullable Path log)
      throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.redirectOutput(
        log == null ? ProcessBuilder.Redirect.DISCARD : ProcessBuilder.Redirect.to(log.toFile()));
    Process process = builder.start();
    process.getOutputStream().close();
    if (!process.waitFor(MINUTES, TimeUnit.MINUTES)) {
      process.destroyForcibly().waitFor();
      return 124;
    }
    return process.exitValue();
  }
}
