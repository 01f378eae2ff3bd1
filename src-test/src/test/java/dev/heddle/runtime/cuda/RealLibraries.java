package dev.heddle.runtime.cuda;

import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * NVIDIA's own libraries, where a folder with them is given: the system property {@value #PROPERTY}
 * or the environment variable {@value #VARIABLE}. They load without a GPU; Debian's packages
 * libcuda1, libcublas12 and libcublaslt12, unpacked, are such a folder. Tests that need them are
 * skipped where there is none.
 */
final class RealLibraries {
  static final String PROPERTY = "heddle.cuda.libraries";
  static final String VARIABLE = "HEDDLE_CUDA_LIBRARIES";

  private RealLibraries() {}

  /** cuBLASLt and cuBLAS of the newest version in the folder. */
  static SymbolLookup cublas() {
    Path folder = folder();
    for (String version : List.of("13", "12")) {
      Optional<Path> lt = find(folder, "libcublasLt.so." + version);
      Optional<Path> blas = find(folder, "libcublas.so." + version);
      if (lt.isPresent() && blas.isPresent()) {
        // The second needs the first, which the loader then knows already.
        SymbolLookup first = open(lt.get());
        return open(blas.get()).or(first);
      }
    }
    return abort("no libcublasLt and libcublas of version 12 or 13 under " + folder);
  }

  /** The driver. */
  static SymbolLookup driver() {
    Path folder = folder();
    return find(folder, "libcuda.so.1")
        .map(RealLibraries::open)
        .orElseGet(() -> abort("no libcuda.so.1 under " + folder));
  }

  private static Path folder() {
    String given = System.getProperty(PROPERTY, System.getenv(VARIABLE));
    if (given == null || given.isBlank()) {
      return abort(
          "NVIDIA's libraries are not tested: name a folder with them by -D"
              + PROPERTY
              + "=FOLDER or "
              + VARIABLE
              + "=FOLDER");
    }
    Path folder = Path.of(given);
    if (!Files.isDirectory(folder)) {
      throw new IllegalArgumentException(PROPERTY + " is " + folder + ", which is no folder");
    }
    return folder;
  }

  private static Optional<Path> find(Path folder, String name) {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(file -> file.getFileName().toString().equals(name)).findFirst();
    } catch (IOException failure) {
      throw new UncheckedIOException(failure);
    }
  }

  private static SymbolLookup open(Path file) {
    return SymbolLookup.libraryLookup(file, Arena.global());
  }
}
