package dev.heddle.jmh.gpu;

import dev.heddle.train.json.Json;
import dev.heddle.train.report.Machine;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/** All that was found, as text for a person and as a file to keep. */
final class Sheet {
  private final PrintStream out;
  private final LocalDate date;
  private final String gpu;
  private final boolean simulated;
  private final Map<String, @Nullable Object> facts = new LinkedHashMap<>();
  private final List<KernelCheck.Result> kernels = new ArrayList<>();
  private final List<CaptioningCheck.Result> losses = new ArrayList<>();
  private final List<Figure> figures = new ArrayList<>();
  private final List<String> failures = new ArrayList<>();
  private final List<String> notMeasured = new ArrayList<>();
  private Map<String, @Nullable Object> peer = Map.of();

  Sheet(PrintStream out, LocalDate date, String gpu, boolean simulated) {
    this.out = out;
    this.date = date;
    this.gpu = gpu;
    this.simulated = simulated;
  }

  void heading(String text) {
    out.printf("%n%s%n", text);
  }

  /** A fact of the machine. */
  void fact(String name, Object value) {
    facts.put(name, value);
    out.printf("  %-22s %s%n", name, value);
  }

  void finding(Machine.Finding finding) {
    fact(finding.name(), finding.state());
  }

  void kernels(KernelCheck.Result result) {
    kernels.add(result);
    out.printf(
        "  %-6s %-5s %d of %d tests passed%n",
        result.isRight() ? "right" : "WRONG",
        result.dtype(),
        result.passed(),
        result.passed() + result.failures().size());
    result.failures().forEach(failure -> out.println("         " + failure));
  }

  void losses(CaptioningCheck.Result result) {
    losses.add(result);
    out.printf(
        Locale.ROOT,
        "  %-6s %-46s by %-12s %-12s largest difference %.1e%n",
        result.isRight() ? "right" : "WRONG",
        result.layout(),
        result.exchange(),
        result.graph() ? "as a graph" : "step by step",
        result.difference());
    if (!result.failure().isEmpty()) {
      out.println("         " + result.failure());
    }
  }

  void figures(List<Figure> more) {
    figures.addAll(more);
  }

  /** Tells that a part is done, which takes minutes in all. */
  void measured(String what, int count) {
    out.printf("  %-22s %d figures%n", what, count);
  }

  List<Figure> figures() {
    return figures;
  }

  /** Something that could not be done. */
  void failed(String what, Throwable why) {
    failures.add(what + ": " + why);
    out.println("  FAILED " + what + ": " + why);
  }

  /** Something that this machine has no way to show. */
  void notMeasured(String why) {
    notMeasured.add(why);
    out.println("  not measured: " + why);
  }

  void peer(TorchPeer.Answer answer) {
    peer = answer.toMap();
    List<Figure> with = answer.beside(figures);
    figures.clear();
    figures.addAll(with);
    out.println("  " + answer.state());
    answer.failures().forEach((name, why) -> out.println("  without " + name + ": " + why));
  }

  /** The table of all figures. */
  void print() {
    String section = "";
    for (Figure figure : figures) {
      if (!section.equals(figure.operation().section())) {
        section = figure.operation().section();
        heading(section + (simulated ? " (simulated: these times say nothing about a GPU)" : ""));
        out.printf(
            "  %-52s %12s %-8s %8s %-18s %12s %7s%n",
            "", "Heddle", "", "share", "of", "PyTorch", "ratio");
      }
      Operation operation = figure.operation();
      out.printf(
          Locale.ROOT,
          "  %-52s %12s %-8s %8s %-18s %12s %7s%n",
          operation.name(),
          number(OptionalDouble.of(figure.value())),
          operation.unit(),
          number(figure.share()),
          figure.shareOf(),
          figure.peerSeconds().isEmpty()
              ? "-"
              : number(OptionalDouble.of(operation.figure(figure.peerSeconds().getAsDouble()))),
          number(figure.ratio()));
    }
    out.printf("%nratio: our time over PyTorch's, below 1 is faster than PyTorch%n");
  }

  private static String number(OptionalDouble value) {
    if (value.isEmpty()) {
      return "-";
    }
    double number = value.getAsDouble();
    return String.format(
        Locale.ROOT, Math.abs(number) < 0.01 ? "%.2e" : number < 100 ? "%.2f" : "%.0f", number);
  }

  /** Whether everything ran and was right. */
  boolean isRight() {
    return failures.isEmpty()
        && kernels.stream().allMatch(KernelCheck.Result::isRight)
        && losses.stream().allMatch(CaptioningCheck.Result::isRight);
  }

  /**
   * Writes the file, in one move: it is there whole or not at all.
   *
   * @return where it is
   */
  Path write(Path folder) throws IOException {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    map.put("format", 1L);
    map.put("date", date.toString());
    map.put("gpu", gpu);
    map.put("simulated", simulated);
    map.put("right", isRight());
    map.put("facts", facts);
    map.put("kernels", kernels.stream().map(KernelCheck.Result::toMap).toList());
    map.put("losses", losses.stream().map(CaptioningCheck.Result::toMap).toList());
    map.put("figures", figures.stream().map(figure -> figure.toMap(simulated)).toList());
    map.put("pytorch", peer);
    map.put("failures", failures);
    map.put("not_measured", notMeasured);
    String slug = gpu.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-").replaceAll("-$", "");
    Path file = folder.toAbsolutePath().resolve("gpu-check-" + date + "-" + slug + ".json");
    Files.createDirectories(file.getParent());
    Path draft = Files.createTempFile(file.getParent(), "gpu-check", ".draft");
    try {
      Files.writeString(draft, Json.write(map) + "\n");
      Files.move(draft, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(draft);
    }
    return file;
  }
}
