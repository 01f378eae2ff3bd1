package dev.heddle.jmh.bench;

import dev.heddle.jmh.PeerVersions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The peers that this build has: libtorch through JavaCPP and through DJL, OpenBLAS and MKL beneath
 * the first. The Maven profile {@code peers} fetches them.
 */
final class Peers {
  /** Where the launcher tells the folder of the sources. */
  private static final String ROOT_PROPERTY = "heddle.bench.root";

  /** The library of F32 matrix products beneath libtorch through JavaCPP. */
  enum Blas {
    /** As its Maven artifacts come. */
    OPENBLAS("OpenBLAS"),
    /** Intel's, put in OpenBLAS's place when the process starts. */
    MKL("MKL");

    private final String label;

    Blas(String label) {
      this.label = label;
    }

    String label() {
      return label;
    }
  }

  private final Optional<String> javaCpp = PeerVersions.of("javacpp.libtorch");
  private final Optional<String> openBlas = PeerVersions.of("javacpp.openblas");
  private final Optional<String> djl = PeerVersions.of("djl");
  private final Optional<String> djlTorch = PeerVersions.of("djl.libtorch");
  private final Optional<Path> mkl;

  Peers() {
    mkl = runtimeOf(root().resolve("jmh/target/mkl/org/bytedeco/mkl/linux-x86_64"));
  }

  /** The folder of the sources, as the launcher tells it; else the working folder. */
  static Path root() {
    return Path.of(System.getProperty(ROOT_PROPERTY, ""));
  }

  private static Optional<Path> runtimeOf(Path folder) {
    if (!Files.isDirectory(folder)) {
      return Optional.empty();
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith("libmkl_rt.so"))
          .findFirst();
    } catch (IOException e) {
      throw new UncheckedIOException("looking for MKL in " + folder, e);
    }
  }

  boolean hasJavaCpp() {
    return javaCpp.isPresent();
  }

  boolean hasDjl() {
    return djl.isPresent();
  }

  /** What libtorch through JavaCPP can be run with. */
  List<Blas> blas() {
    if (!hasJavaCpp()) {
      return List.of();
    }
    return mkl.isPresent() ? List.of(Blas.OPENBLAS, Blas.MKL) : List.of(Blas.OPENBLAS);
  }

  String javaCppName() {
    return "libtorch " + javaCpp.orElse("?");
  }

  String djlName() {
    return "DJL " + djl.orElse("?") + ", libtorch " + djlTorch.orElse("?");
  }

  /** Flags of a JVM that runs libtorch through JavaCPP. */
  List<String> javaCppFlags() {
    // Its own limits of memory outside the heap and its freeing by the collector are off: scopes
    // free
    // what a step makes. Its libraries are unpacked beside the build.
    return List.of(
        "-Dorg.bytedeco.javacpp.maxBytes=0",
        "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
        "-Dorg.bytedeco.javacpp.noPointerGC=true",
        "-Dorg.bytedeco.javacpp.cachedir=" + root().resolve("jmh/target/javacpp"));
  }

  /** Variables of a peer's process. */
  Map<String, String> environment(Blas blas, int threads) {
    Map<String, String> variables = new HashMap<>();
    variables.put("OMP_NUM_THREADS", Integer.toString(threads));
    variables.put("OPENBLAS_NUM_THREADS", Integer.toString(threads));
    // Some machines bind OpenBLAS to an older processor's kernels for the sake of old builds of it.
    variables.put("OPENBLAS_CORETYPE", "");
    variables.put("OPENBLAS_L2_SIZE", "");
    // libtorch takes the arrays of every step from malloc, which gives them back to the system each
    // time; where a page's first touch is dear, as in virtual machines, that is most of a step.
    variables.put("MALLOC_ARENA_MAX", "1");
    variables.put("MALLOC_MMAP_MAX_", "0");
    variables.put("MALLOC_TRIM_THRESHOLD_", Long.toString(1L << 40));
    variables.put("MALLOC_TOP_PAD_", Long.toString(64L << 20));
    if (blas == Blas.MKL && mkl.isPresent()) {
      Path runtime = mkl.get();
      variables.put("LD_PRELOAD", runtime.toString());
      variables.put("LD_LIBRARY_PATH", String.valueOf(runtime.getParent()));
      variables.put("MKL_THREADING_LAYER", "GNU");
      variables.put("MKL_NUM_THREADS", Integer.toString(threads));
    }
    return variables;
  }

  /** What was found, a line a peer. */
  List<String> report() {
    return List.of(
        line("libtorch through JavaCPP", javaCpp),
        line("OpenBLAS beneath it", openBlas),
        line(
            "MKL beneath it",
            mkl.map(path -> PeerVersions.of("javacpp.mkl").orElse("?") + ", preloaded")),
        line(
            "libtorch through DJL",
            djl.map(version -> version + ", libtorch " + djlTorch.orElse("?"))),
        line("Open MPI with its compiler, for C", openMpi()));
  }

  private static Optional<String> openMpi() {
    boolean run = onPath("mpirun");
    return run && onPath("mpicc") ? Optional.of("mpirun and mpicc on PATH") : Optional.empty();
  }

  static boolean onPath(String program) {
    String path = System.getenv().getOrDefault("PATH", "");
    return Stream.of(path.split(java.io.File.pathSeparator))
        .anyMatch(folder -> Files.isExecutable(Path.of(folder, program)));
  }

  private static String line(String name, Optional<String> found) {
    return String.format("  %-34s %s", name, found.orElse("not found"));
  }
}
