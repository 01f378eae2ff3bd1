package dev.heddle.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibrarySearchTest {
  private static final Platform LINUX = Platform.of("Linux", "amd64");
  private static final Platform WINDOWS = Platform.of("Windows 11", "amd64");
  private static final Platform MACOS = Platform.of("Mac OS X", "aarch64");

  @TempDir Path folder;

  private static LibrarySearch search(
      Platform platform, Map<String, String> properties, Map<String, String> environment) {
    return new LibrarySearch(platform, properties::get, environment::get);
  }

  @Test
  void platform_isWrittenAsTheArtifactsClassifier() {
    assertThat(LINUX.classifier()).isEqualTo("linux-x86_64");
    assertThat(WINDOWS.classifier()).isEqualTo("windows-x86_64");
    assertThat(MACOS.classifier()).isEqualTo("macosx-arm64");
  }

  @Test
  void candidates_differBetweenPlatforms() {
    assertThat(search(LINUX, Map.of(), Map.of()).candidates(NativeLibrary.CUDA).getFirst())
        .containsExactly("libcuda.so.1");
    assertThat(search(WINDOWS, Map.of(), Map.of()).candidates(NativeLibrary.CUDA).getFirst())
        .containsExactly("nvcuda.dll");
    assertThat(search(MACOS, Map.of(), Map.of()).candidates(NativeLibrary.CUDA)).isEmpty();
    assertThat(search(LINUX, Map.of(), Map.of()).candidates(NativeLibrary.CUBLAS).getFirst())
        .containsExactly("libcublasLt.so.13", "libcublas.so.13");
  }

  @Test
  void candidates_cudaHomeSet_lookInItsLibraryFolder() throws Exception {
    Path libraries = Files.createDirectories(folder.resolve("lib64"));
    assertThat(
            search(LINUX, Map.of(), Map.of("CUDA_HOME", folder.toString()))
                .candidates(NativeLibrary.CUBLAS))
        .anySatisfy(
            files ->
                assertThat(files)
                    .containsExactly(
                        libraries.resolve("libcublasLt.so.13").toString(),
                        libraries.resolve("libcublas.so.13").toString()));
  }

  @Test
  void search_absentLibrary_namesEveryPlaceTheLoadersWordsAndTheFix() {
    // A platform of no loader here, so that nothing can be found by accident.
    SearchResult result = search(WINDOWS, Map.of(), Map.of()).search(NativeLibrary.CUBLAS);
    assumeThat(Platform.current().system()).isNotEqualTo(Platform.OperatingSystem.WINDOWS);
    assertThat(result.lookup()).isNull();
    assertThat(result.explain("cuBLAS"))
        .startsWith("cuBLAS is not available. Tried:\n  cublasLt64_13.dll: ")
        .contains("\n  cublasLt64_12.dll: ")
        .contains("What to do: install the CUDA toolkit 12 or 13")
        .contains("-Dheddle.cublas=PATH or HEDDLE_CUBLAS=PATH");
  }

  @Test
  void search_chosenFileUnreadable_quotesTheLoaderAndTriesNothingElse() throws Exception {
    assumeThat(Platform.current().system()).isEqualTo(Platform.OperatingSystem.LINUX);
    Path notALibrary = Files.writeString(folder.resolve("libdnnl.so.3"), "just text, no library");
    SearchResult result =
        search(LINUX, Map.of("heddle.onednn", notALibrary.toString()), Map.of())
            .search(NativeLibrary.ONEDNN);
    assertThat(result.lookup()).isNull();
    assertThat(result.attempts())
        .singleElement()
        .asString()
        .contains(notALibrary.toString())
        .contains("(system property heddle.onednn)")
        .containsAnyOf("invalid ELF header", "file too short");
  }

  @Test
  void search_environmentVariable_isUsedWhenThePropertyIsNotSet() {
    SearchResult result =
        search(LINUX, Map.of(), Map.of("HEDDLE_MPI", "/no/such/libmpi.so"))
            .search(NativeLibrary.MPI);
    assertThat(result.attempts())
        .singleElement()
        .asString()
        .startsWith("/no/such/libmpi.so (environment variable HEDDLE_MPI): ");
  }

  @Test
  void search_switchedOff_opensNothing() {
    SearchResult result =
        search(LINUX, Map.of("heddle.onednn", "off"), Map.of()).search(NativeLibrary.ONEDNN);
    assertThat(result.lookup()).isNull();
    assertThat(result.explain("oneDNN"))
        .contains("switched off by system property heddle.onednn=off");
  }

  @Test
  void search_cacheNotWritable_isReportedAndTheSystemIsStillSearched() throws Exception {
    assumeThat(Platform.current().classifier()).isEqualTo("linux-x86_64");
    Path file = Files.writeString(folder.resolve("cache"), "a file where a folder is wanted");
    SearchResult result =
        search(LINUX, Map.of("heddle.cache", file.toString()), Map.of())
            .search(NativeLibrary.ONEDNN);
    assumeThat(result.lookup()).as("no oneDNN installed on this system").isNull();
    assertThat(result.attempts()).anyMatch(attempt -> attempt.contains("could not be unpacked"));
    assertThat(result.attempts()).anyMatch(attempt -> attempt.startsWith("libdnnl.so.3: "));
  }

  @Test
  void cacheFolder_followsThePlatformsCustom() {
    Map<String, String> home = Map.of("user.home", "/users/ada");
    assertThat(search(LINUX, home, Map.of()).cacheFolder())
        .isEqualTo(Path.of("/users/ada/.cache/heddle"));
    assertThat(search(LINUX, home, Map.of("XDG_CACHE_HOME", "/fast")).cacheFolder())
        .isEqualTo(Path.of("/fast/heddle"));
    assertThat(search(MACOS, home, Map.of()).cacheFolder())
        .isEqualTo(Path.of("/users/ada/Library/Caches/heddle"));
    assertThat(search(WINDOWS, home, Map.of()).cacheFolder())
        .isEqualTo(Path.of("/users/ada/heddle/cache"));
    assertThat(search(LINUX, home, Map.of("HEDDLE_CACHE", "/kept")).cacheFolder())
        .isEqualTo(Path.of("/kept"));
  }
}
