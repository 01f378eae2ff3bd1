package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkModel;
import dev.heddle.jmh.Precision;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code heddle bench}; the launcher builds this module with the peers and starts it. */
@Command(
    name = "heddle bench",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    description = {
      "Measures Heddle beside its peers and prints a table of ratios: ours by the peer's, below 1"
          + " is less than the peer takes. Peers: libtorch through JavaCPP (with OpenBLAS or MKL,"
          + " whichever is faster) and through DJL, Open MPI from C, and plain copies.",
      "",
      "All that stands in one row took turns in one run; figures are medians. Other work on the"
          + " machine disturbs them all the same: the load is printed first."
    })
public final class BenchCommand implements Callable<Integer> {
  /** What can be measured. */
  enum Selection {
    boundary,
    ops,
    step,
    peers
  }

  @Parameters(
      arity = "0..*",
      paramLabel = "SELECTION",
      description =
          "boundary: boundaries and collectives; ops: operators and products; step: whole training"
              + " steps; peers: only says which peers are found. Without one: the first three.")
  private List<Selection> selections = new ArrayList<>();

  @Option(
      names = "--json",
      paramLabel = "FILE",
      description = "also writes the rows to a file, as an array of objects")
  private @Nullable Path json;

  @Option(
      names = "--record",
      paramLabel = "RELEASE",
      description =
          "also keeps the rows in docs/timings/RELEASE.json, in place of those of the same names, and"
              + " plots all releases anew")
  private @Nullable String release;

  @Option(
      names = "--quick",
      description =
          "few turns, operators with the first number of threads only, steps without DJL: minutes on a quiet"
              + " machine, good to some ten per cent")
  private boolean quick;

  @Option(
      names = "--models",
      split = ",",
      paramLabel = "MODEL",
      description =
          "steps: of gpt, vit, vlm, vlm-scored (a peer that leaves out what no loss depends on)")
  private List<String> models = new ArrayList<>();

  @Option(
      names = "--threads",
      split = ",",
      paramLabel = "N",
      description = "numbers of threads; unless said, 1 and 2")
  private List<Integer> threads = new ArrayList<>();

  @Option(
      names = "--dtypes",
      split = ",",
      paramLabel = "DTYPE",
      description = "steps: of f32, bf16-products, bf16")
  private List<String> dtypes = new ArrayList<>();

  @Option(
      names = "--only",
      paramLabel = "TEXT",
      description =
          "boundaries, collectives and operators: those whose name contains it, such as attention")
  private String only = "";

  @Option(
      names = "--ours",
      paramLabel = "FLAG",
      description = "a flag for our JVMs, such as -Dheddle.onednn=off; may be repeated")
  private List<String> ourFlags = new ArrayList<>();

  private BenchCommand() {}

  /** Runs the command line and ends the process with its exit code. */
  public static void main(String[] arguments) {
    System.exit(
        new CommandLine(new BenchCommand())
            .setExecutionExceptionHandler(
                (exception, line, parsed) -> {
                  line.getErr().println("heddle bench: " + exception.getMessage());
                  return 1;
                })
            .execute(arguments));
  }

  private static void record(String release, List<Row> rows)
      throws IOException, InterruptedException {
    Path root = Path.of(System.getProperty("heddle.bench.root", "."));
    Path folder = root.resolve("docs").resolve("timings");
    Timings.readOrEmpty(folder, release)
        .with(rows, LocalDate.now().toString(), commit(root), Timings.thisMachine())
        .write(folder);
    TimingsPlot.draw(Timings.readAll(folder), folder);
    System.out.println("kept in " + Timings.file(folder, release));
  }

  private static String commit(Path root) throws InterruptedException {
    try {
      Process git =
          new ProcessBuilder("git", "-C", root.toString(), "describe", "--always", "--dirty")
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String described = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return git.waitFor() == 0 ? described.strip() : "unknown";
    } catch (IOException absent) {
      return "unknown";
    }
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Peers peers = new Peers();
    System.out.printf(
        Locale.ROOT,
        "load of the last minute %.1f, cores %d, JDK %s%npeers:%n",
        ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage(),
        Runtime.getRuntime().availableProcessors(),
        Runtime.version());
    peers.report().forEach(System.out::println);
    if (selections.isEmpty()) {
      selections = List.of(Selection.boundary, Selection.ops, Selection.step);
    }
    BenchOptions options =
        new BenchOptions(
            quick,
            models.isEmpty()
                ? StepRows.usualModels()
                : models.stream().map(BenchmarkModel::named).toList(),
            threads.isEmpty() ? List.of(1, 2) : threads,
            dtypes.isEmpty()
                ? List.of(Precision.values())
                : dtypes.stream().map(Precision::labelled).toList(),
            only,
            ourFlags,
            System.err,
            new ArrayList<>());
    List<Row> rows = new ArrayList<>();
    if (selections.contains(Selection.boundary)) {
      rows.addAll(new BoundaryRows(options).measure());
      rows.addAll(new CollectiveRows(options).measure());
    }
    if (selections.contains(Selection.ops)) {
      rows.addAll(new OperatorRows(options, peers).measure());
      if (only.isEmpty() || "product".contains(only)) {
        rows.addAll(new ProductRows(options).measure());
      }
    }
    if (selections.contains(Selection.step)) {
      StepRows steps = new StepRows(options, peers);
      rows.addAll(steps.measure());
      if (options.threads().contains(2)) {
        rows.addAll(steps.ranksBesideThreads());
      }
      rows.addAll(new StartRows(options).measure());
    }
    if (!rows.isEmpty()) {
      System.out.printf("%n%s%n", BenchTable.header());
      rows.forEach(row -> System.out.println(BenchTable.line(row)));
    }
    if (json != null) {
      BenchTable.write(json, rows);
    }
    String recorded = release;
    if (recorded != null && !rows.isEmpty()) {
      record(recorded, rows);
    }
    options.failures().forEach(failure -> System.out.println("not measured: " + failure));
    return options.failures().isEmpty() ? 0 : 1;
  }
}
