package dev.heddle.bindings;

import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Tries the places where a library may be, in order, and remembers why each one failed.
 *
 * <p>A candidate is a list of files that belong together and are opened in the given order, those
 * that others depend on first: cuBLASLt before cuBLAS, the OpenMP run-time before oneDNN. Opening a
 * dependency by path first is what lets the loader resolve it without {@code LD_LIBRARY_PATH}.
 *
 * @param platform the platform whose names and folders are used
 * @param property a system property's value, or null
 * @param environment an environment variable's value, or null
 */
record LibrarySearch(
    Platform platform,
    Function<String, @Nullable String> property,
    Function<String, @Nullable String> environment) {

  static LibrarySearch ofThisMachine() {
    return new LibrarySearch(Platform.current(), System::getProperty, System::getenv);
  }

  /** Never throws: whatever goes wrong becomes an attempt's reason. */
  SearchResult search(NativeLibrary library) {
    List<String> attempts = new ArrayList<>();
    String name = library.name().toLowerCase(Locale.ROOT);
    String propertyName = "heddle." + name;
    String variableName = "HEDDLE_" + library.name();
    String chosen = property.apply(propertyName);
    String chosenBy = "system property " + propertyName;
    if (chosen == null || chosen.isBlank()) {
      chosen = environment.apply(variableName);
      chosenBy = "environment variable " + variableName;
    }
    if (chosen != null && !chosen.isBlank()) {
      return searchChosen(chosen.strip(), chosenBy, attempts);
    }
    if (library == NativeLibrary.ONEDNN) {
      SearchResult bundled = searchArtifact(attempts);
      if (bundled != null) {
        return bundled;
      }
    }
    for (List<String> candidate : candidates(library)) {
      Optional<SymbolLookup> opened = open(candidate, "", attempts);
      if (opened.isPresent()) {
        return SearchResult.found(opened.get(), candidate.getLast());
      }
    }
    String fix =
        "%s, or name the file with -D%s=PATH or %s=PATH."
            .formatted(installation(library), propertyName, variableName);
    return SearchResult.absent(attempts, fix);
  }

  private SearchResult searchChosen(String chosen, String chosenBy, List<String> attempts) {
    if (chosen.equalsIgnoreCase("off")) {
      attempts.add("nothing: it is switched off by " + chosenBy + "=off");
      return SearchResult.absent(attempts, "remove " + chosenBy + " to search for it again.");
    }
    List<String> files =
        Stream.of(chosen.split(File.pathSeparator)).filter(file -> !file.isBlank()).toList();
    Optional<SymbolLookup> opened = open(files, " (" + chosenBy + ")", attempts);
    if (opened.isPresent()) {
      return SearchResult.found(opened.get(), chosen);
    }
    String fix = "correct " + chosenBy + " or remove it, so that the usual places are searched.";
    return SearchResult.absent(attempts, fix);
  }

  private @Nullable SearchResult searchArtifact(List<String> attempts) {
    String place = "class-path resource " + OneDnnArtifact.folder(platform);
    try {
      Optional<List<Path>> unpacked = OneDnnArtifact.unpack(platform, cacheFolder());
      if (unpacked.isEmpty()) {
        attempts.add(place + ": not on the class path");
        return null;
      }
      List<String> files = unpacked.get().stream().map(Path::toString).toList();
      Optional<SymbolLookup> opened = open(files, " (unpacked from the class path)", attempts);
      return opened.isPresent() ? SearchResult.found(opened.get(), files.getLast()) : null;
    } catch (IOException | RuntimeException failure) {
      attempts.add(place + ": could not be unpacked: " + failure);
      return null;
    }
  }

  /** Where unpacked libraries are kept between runs. */
  Path cacheFolder() {
    String chosen = property.apply("heddle.cache");
    if (chosen == null) {
      chosen = environment.apply("HEDDLE_CACHE");
    }
    if (chosen != null) {
      return Path.of(chosen);
    }
    String home = property.apply("user.home");
    Path fallback = Path.of(home == null ? "." : home);
    return switch (platform.system()) {
      case WINDOWS -> {
        String local = environment.apply("LOCALAPPDATA");
        yield (local == null ? fallback : Path.of(local)).resolve("heddle").resolve("cache");
      }
      case MACOS -> fallback.resolve("Library").resolve("Caches").resolve("heddle");
      case LINUX, OTHER -> {
        String cache = environment.apply("XDG_CACHE_HOME");
        boolean set = cache != null && !cache.isBlank();
        yield (set ? Path.of(cache) : fallback.resolve(".cache")).resolve("heddle");
      }
    };
  }

  /** The usual file names, bare first and then under the usual folders. */
  List<List<String>> candidates(NativeLibrary library) {
    List<List<String>> bare = names(library);
    List<List<String>> all = new ArrayList<>(bare);
    for (Path folder : folders(library)) {
      if (Files.isDirectory(folder)) {
        for (List<String> files : bare) {
          all.add(files.stream().map(file -> folder.resolve(file).toString()).toList());
        }
      }
    }
    return all;
  }

  private List<List<String>> names(NativeLibrary library) {
    return switch (platform.system()) {
      case LINUX, OTHER ->
          switch (library) {
            case CUDA -> List.of(List.of("libcuda.so.1"), List.of("libcuda.so"));
            case CUBLAS ->
                List.of(
                    List.of("libcublasLt.so.13", "libcublas.so.13"),
                    List.of("libcublasLt.so.12", "libcublas.so.12"));
            case NCCL -> List.of(List.of("libnccl.so.2"), List.of("libnccl.so"));
            case MPI -> List.of(List.of("libmpi.so.40"), List.of("libmpi.so"));
            case ONEDNN -> List.of(List.of("libdnnl.so.3"), List.of("libdnnl.so"));
          };
      case WINDOWS ->
          switch (library) {
            case CUDA -> List.of(List.of("nvcuda.dll"));
            case CUBLAS ->
                List.of(
                    List.of("cublasLt64_13.dll", "cublas64_13.dll"),
                    List.of("cublasLt64_12.dll", "cublas64_12.dll"));
            case NCCL, MPI -> List.of();
            case ONEDNN -> List.of(List.of("dnnl.dll"));
          };
      case MACOS ->
          switch (library) {
            case CUDA, CUBLAS, NCCL -> List.of();
            case MPI -> List.of(List.of("libmpi.40.dylib"), List.of("libmpi.dylib"));
            case ONEDNN -> List.of(List.of("libdnnl.3.dylib"), List.of("libdnnl.dylib"));
          };
    };
  }

  private List<Path> folders(NativeLibrary library) {
    List<Path> folders = new ArrayList<>();
    switch (library) {
      case CUDA -> {
        if (platform.system() == Platform.OperatingSystem.LINUX) {
          folders.add(Path.of("/usr/lib/wsl/lib"));
        }
      }
      case CUBLAS, NCCL -> {
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH", "NCCL_HOME")) {
          Path root = folder(environment.apply(variable));
          if (root != null) {
            boolean windows = platform.system() == Platform.OperatingSystem.WINDOWS;
            folders.add(root.resolve(windows ? "bin" : "lib64"));
            folders.add(root.resolve(windows ? "bin/x64" : "lib"));
          }
        }
        if (platform.system() == Platform.OperatingSystem.LINUX) {
          folders.add(Path.of("/usr/local/cuda/lib64"));
        }
      }
      case MPI, ONEDNN -> {
        if (platform.system() == Platform.OperatingSystem.MACOS) {
          folders.add(Path.of("/opt/homebrew/lib"));
          folders.add(Path.of("/usr/local/lib"));
        }
      }
    }
    return folders;
  }

  /** The folder that a variable names; null if it is not set or no path at all. */
  private static @Nullable Path folder(@Nullable String value) {
    try {
      return value == null || value.isBlank() ? null : Path.of(value);
    } catch (InvalidPathException notOne) {
      return null;
    }
  }

  private String installation(NativeLibrary library) {
    return switch (library) {
      case CUDA -> "install the NVIDIA driver, which brings this library";
      case CUBLAS -> "install the CUDA toolkit 12 or 13 and set CUDA_HOME to its folder";
      case NCCL -> "install NCCL 2 (on Linux; Debian and Ubuntu: package libnccl2)";
      case MPI -> "install Open MPI 4 or 5 (Debian and Ubuntu: package libopenmpi3)";
      case ONEDNN ->
          "add the Maven artifact org.bytedeco:dnnl with classifier "
              + platform.classifier()
              + " to the class path (its JavaCPP dependency is not needed)";
    };
  }

  /** Opens all files, or none: the first failure is noted and ends the attempt. */
  private Optional<SymbolLookup> open(List<String> files, String origin, List<String> attempts) {
    SymbolLookup all = null;
    for (String file : files) {
      SymbolLookup opened;
      try {
        opened = openOne(file);
      } catch (IllegalCallerException denied) {
        attempts.add(
            "%s%s: the JVM refuses native access; pass --enable-native-access=ALL-UNNAMED, or"
                    .formatted(file, origin)
                + " dev.heddle.bindings when Heddle is on the module path");
        return Optional.empty();
      } catch (IllegalArgumentException refused) {
        attempts.add(file + origin + ": " + LoaderMessage.why(platform, file, refused));
        return Optional.empty();
      }
      // The library asked for is the last one: its own symbols come before its dependencies'.
      all = all == null ? opened : opened.or(all);
    }
    return Optional.ofNullable(all);
  }

  private static SymbolLookup openOne(String file) {
    boolean isPath = file.indexOf('/') >= 0 || file.indexOf(File.separatorChar) >= 0;
    return isPath
        ? SymbolLookup.libraryLookup(Path.of(file).toAbsolutePath(), Arena.global())
        : SymbolLookup.libraryLookup(file, Arena.global());
  }
}
