package dev.heddle.jmh.gpu;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.parallel.comm.nccl.NcclWorld;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaDeviceProperties;
import dev.heddle.runtime.cuda.CudaReport;
import dev.heddle.train.report.Machine;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneId;
import java.util.List;
import java.util.function.Supplier;

/**
 * The test plan for a machine with NVIDIA GPUs: what is there, whether it computes what the
 * processor does, how fast it is, beside PyTorch where that is installed; printed, and written to
 * {@code gpu-check-DATE-GPU.json}. {@code jmh/check-gpu} builds and runs it.
 */
public final class GpuCheck {
  private static final Path DRIVER_VERSION = Path.of("/proc/driver/nvidia/version");

  /** The name by which the test double in {@code src-test} is known. */
  private static final String SIMULATED = "Simulated GPU";

  private final CheckOptions options;
  private final CudaReport report;
  private final boolean simulated;
  private final Sheet sheet;

  private GpuCheck(CheckOptions options, CudaReport report, PrintStream out) {
    this.options = options;
    this.report = report;
    String name = report.gpus().getFirst().properties().name();
    this.simulated = name.equals(SIMULATED);
    this.sheet = new Sheet(out, LocalDate.now(ZoneId.systemDefault()), name, simulated);
  }

  /** See {@link CheckOptions#USAGE}. */
  public static void main(String[] arguments) {
    System.exit(run(System.out, System.err, arguments));
  }

  /**
   * Runs the plan.
   *
   * @return 0 if everything was there and right, or only help was asked for, 1 if something is
   *     missing or wrong, 2 for a command that is not understood
   */
  public static int run(PrintStream out, PrintStream err, String... arguments) {
    if (List.of(arguments).contains("--help")) {
      out.print(CheckOptions.USAGE);
      return 0;
    }
    CheckOptions options;
    try {
      options = CheckOptions.read(arguments);
    } catch (IllegalArgumentException refused) {
      err.println(refused.getMessage());
      err.print(CheckOptions.USAGE);
      return 2;
    }
    CudaReport report = CudaReport.look();
    if (report.gpus().isEmpty()) {
      err.println(
          report.found()
              ? "check-gpu: the driver shows no GPU"
              : "check-gpu: the CUDA driver is " + report.driver());
      report.attempts().forEach(attempt -> err.println("  tried " + attempt));
      if (!report.remedy().isEmpty()) {
        err.println("  " + report.remedy());
      }
      return 1;
    }
    if (!NativeLibrary.CUBLAS.isAvailable()) {
      err.println("check-gpu: there is a GPU, but no cuBLAS to multiply matrices with");
      err.println(NativeLibrary.CUBLAS.reason());
      return 1;
    }
    try {
      return new GpuCheck(options, report, out).run(out);
    } catch (IOException failure) {
      err.println("check-gpu: the file could not be written: " + failure);
      return 1;
    }
  }

  private int run(PrintStream out) throws IOException {
    if (simulated) {
      out.println("SIMULATED: this GPU is a test double. Every figure below is simulated.");
    }
    int gpus = report.gpus().size();
    boolean nccl = gpus > 1 && NativeLibrary.NCCL.isAvailable();
    facts();

    sheet.heading("Kernels on the GPU against reference kernels in F64 on the processor");
    for (String dtype : List.of("F32", "BF16", "F64")) {
      attempt("kernels in " + dtype, () -> sheet.kernels(KernelCheck.run(dtype, options.tiny())));
    }
    sheet.heading("The captioning example, 4 steps: losses on the GPU against the processor's");
    attempt(
        "captioning example",
        () -> CaptioningCheck.run(options.root(), nccl, !simulated).forEach(sheet::losses));

    sheet.heading("Measuring");
    ProductSpeed products = new ProductSpeed(options, simulated);
    measure("products", products::products);
    measure("attention", products::attention);
    measure("memory-bound kernels", () -> new KernelSpeed(options).measure());
    measure("training steps", () -> new StepSpeed(options).measure());
    if (gpus > 1) {
      measure("between GPUs", () -> new LinkSpeed(options, gpus).measure(nccl));
      if (!nccl) {
        sheet.notMeasured("NCCL: the library is not found");
      }
    } else {
      sheet.notMeasured("collectives and boundaries: there is one GPU");
    }
    sheet.heading("PyTorch");
    sheet.peer(
        new TorchPeer(options).measure(sheet.figures().stream().map(Figure::operation).toList()));
    sheet.print();

    Path file = sheet.write(options.output());
    sheet.heading(
        sheet.isRight()
            ? "Everything that ran is right."
            : "SOMETHING IS WRONG: see above for WRONG and FAILED.");
    out.println("Written: " + file);
    return sheet.isRight() ? 0 : 1;
  }

  private void facts() {
    sheet.heading("What is there");
    sheet.fact("Heddle", options.commit());
    Machine.everything().forEach(sheet::finding);
    NcclWorld.libraryVersion().ifPresent(version -> sheet.fact("NCCL version", version));
    if (!simulated && Files.isReadable(DRIVER_VERSION)) {
      try {
        sheet.fact("kernel module", Files.readAllLines(DRIVER_VERSION).getFirst());
      } catch (IOException unreadable) {
        sheet.fact("kernel module", "not readable: " + unreadable.getMessage());
      }
    }
    for (CudaReport.Gpu gpu : report.gpus()) {
      CudaDeviceProperties properties = gpu.properties();
      sheet.fact(
          "cuda:" + properties.ordinal() + " clock", properties.clockKilohertz() / 1000 + " MHz");
    }
    attempt(
        "opening cuda:0",
        () -> {
          try (CudaDevice device = CudaDevice.open(0)) {
            sheet.fact("kernel table", device.kernels(DType.F32).name());
          }
        });
    for (String mode : Mode.ALL) {
      Peak.teraflops(report.gpus().getFirst().properties(), mode, simulated)
          .ifPresentOrElse(
              peak -> sheet.fact("peak " + mode, Math.round(peak * 10) / 10.0 + " TFLOP/s"),
              () -> sheet.fact("peak " + mode, "not known"));
    }
  }

  private void measure(String what, Supplier<List<Figure>> figures) {
    attempt(
        what,
        () -> {
          List<Figure> measured = figures.get();
          sheet.figures(measured);
          sheet.measured(what, measured.size());
        });
  }

  // One part's failure must not cost the person with the GPU all others.
  private void attempt(String what, Runnable part) {
    try {
      part.run();
    } catch (RuntimeException | AssertionError | LinkageError failure) {
      sheet.failed(what, failure);
    }
  }
}
