package dev.heddle.train.report;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.parallel.comm.mpi.MpiWorld;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cuda.CudaReport;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** What Heddle found on this machine, and what to do about what is missing. */
public final class Machine {

  /**
   * One thing looked for.
   *
   * @param name what
   * @param state what was found
   * @param found whether it can be used
   * @param remedy what to do when it is missing and wanted; empty when there is nothing to do
   * @param details more lines: where it was looked for and why it is not there
   */
  public record Finding(
      String name, String state, boolean found, String remedy, List<String> details) {
    public Finding {
      details = List.copyOf(details);
    }

    Finding(String name, String state, boolean found, String remedy) {
      this(name, state, found, remedy, List.of());
    }
  }

  private Machine() {}

  /** What decides how fast a CPU run is: JDK, cores, vector width, oneDNN. */
  public static List<Finding> processor() {
    return List.of(jdk(), cores(), vectors(), oneDnn());
  }

  /** Everything that Heddle can use; looking for the GPU libraries loads them. */
  public static List<Finding> everything() {
    List<Finding> findings = new ArrayList<>(processor());
    findings.addAll(cuda(CudaReport.look()));
    findings.add(library(NativeLibrary.CUBLAS));
    findings.add(library(NativeLibrary.NCCL));
    findings.add(mpi());
    return findings;
  }

  private static Finding jdk() {
    String state =
        "%s (%s), %s %s"
            .formatted(
                Runtime.version(),
                System.getProperty("java.vendor"),
                System.getProperty("os.name"),
                System.getProperty("os.arch"));
    return new Finding("JDK", state, true, "");
  }

  private static Finding cores() {
    long heap = Runtime.getRuntime().maxMemory();
    String state =
        String.format(
            Locale.ROOT,
            "%d, heap up to %.1f GiB (tensors live outside it)",
            Runtime.getRuntime().availableProcessors(),
            heap / (double) (1 << 30));
    return new Finding("cores", state, true, "");
  }

  private static Finding vectors() {
    int bits = CpuBackend.vectorBits();
    if (bits == 0) {
      return new Finding(
          "Vector API",
          "not loaded, so the slow reference kernels run",
          false,
          "start the JVM with --add-modules jdk.incubator.vector; ./heddle does");
    }
    String products = CpuBackend.hasMachineCode() ? ", products by machine code of our own" : "";
    return new Finding("Vector API", bits + " bits" + products, true, "");
  }

  private static Finding oneDnn() {
    NativeLibrary library = NativeLibrary.ONEDNN;
    return CpuBackend.oneDnnVersion()
        .map(
            version ->
                new Finding(
                    library.title(),
                    version + " at " + library.location().orElse("an unknown place"),
                    true,
                    ""))
        .orElseGet(() -> library(library));
  }

  /** The driver with every place where it was looked for, and each GPU that it shows. */
  static List<Finding> cuda(CudaReport report) {
    String title = NativeLibrary.CUDA.title();
    List<Finding> findings = new ArrayList<>();
    findings.add(
        new Finding(title, report.driver(), report.found(), report.remedy(), report.attempts()));
    for (CudaReport.Gpu gpu : report.gpus()) {
      findings.add(new Finding("cuda:" + gpu.properties().ordinal(), gpu.describe(), true, ""));
    }
    return findings;
  }

  /** Open MPI, with the way to start processes, which is easy to get wrong. */
  private static Finding mpi() {
    Finding library = library(NativeLibrary.MPI);
    if (!library.found()) {
      return library;
    }
    boolean starter =
        Arrays.stream(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
            .anyMatch(folder -> Files.isExecutable(Path.of(folder, "mpirun")));
    String version = MpiWorld.libraryVersion().map(text -> text + ", ").orElse("");
    return new Finding(
        library.name(),
        version + library.state() + (starter ? "" : ", but no mpirun is on PATH"),
        starter,
        starter
            ? "mpirun -n RANKS --bind-to none ./heddle train CONFIG --launch mpi; bound to one core"
                + " a JVM compiles and collects on the core that computes; --oversubscribe for"
                + " more ranks than cores, --allow-run-as-root for root"
            : "install mpirun (Debian, Ubuntu: apt-get install openmpi-bin), or start with srun");
  }

  private static Finding library(NativeLibrary library) {
    Optional<String> location = library.location();
    if (library.isAvailable()) {
      return new Finding(
          library.title(), "found at " + location.orElse("an unknown place"), true, "");
    }
    return new Finding(library.title(), "not found", false, library.fix(), library.attempts());
  }
}
