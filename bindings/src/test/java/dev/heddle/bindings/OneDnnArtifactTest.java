package dev.heddle.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OneDnnArtifactTest {
  private static final Platform LINUX = Platform.of("Linux", "amd64");

  @TempDir Path cache;

  @BeforeEach
  void theArtifactForLinuxIsOnTheTestClassPath() {
    assumeThat(Platform.current().classifier()).isEqualTo("linux-x86_64");
  }

  @Test
  void unpack_secondTime_onlyChecks() throws Exception {
    List<Path> first = OneDnnArtifact.unpack(LINUX, cache).orElseThrow();
    FileTime longAgo = FileTime.from(Instant.parse("2001-01-01T00:00:00Z"));
    for (Path file : first) {
      Files.setLastModifiedTime(file, longAgo);
    }
    List<Path> second = OneDnnArtifact.unpack(LINUX, cache).orElseThrow();
    assertThat(second).isEqualTo(first);
    for (Path file : second) {
      assertThat(Files.getLastModifiedTime(file)).isEqualTo(longAgo);
    }
  }

  @Test
  void unpack_truncatedFile_isReplaced() throws Exception {
    Path openMp = OneDnnArtifact.unpack(LINUX, cache).orElseThrow().getFirst();
    long size = Files.size(openMp);
    Files.write(openMp, new byte[] {1, 2, 3});
    OneDnnArtifact.unpack(LINUX, cache);
    assertThat(Files.size(openMp)).isEqualTo(size);
  }

  @Test
  void unpack_byTwoJvmsAtOnce_bothLoadAndNothingIsLeftBehind() throws Exception {
    String setting = "-Dheddle.cache=" + cache;
    Process first = ChildJvm.start(LoadOneDnn.class, setting);
    Process second = ChildJvm.start(LoadOneDnn.class, setting);
    assertThat(ChildJvm.output(first)).contains("oneDNN was found at " + cache);
    assertThat(ChildJvm.output(second)).contains("oneDNN was found at " + cache);
    try (Stream<Path> files = Files.walk(cache)) {
      assertThat(files.filter(Files::isRegularFile).map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder("libgomp.so.1", "libdnnl.so.3");
    }
  }

  @Test
  void unpack_platformWithoutArtifact_isEmpty() throws Exception {
    assertThat(OneDnnArtifact.unpack(Platform.of("Linux", "riscv64"), cache)).isEmpty();
  }

  /** Loads oneDNN and says from where. */
  static final class LoadOneDnn {
    private LoadOneDnn() {}

    public static void main(String[] args) {
      System.out.println(NativeLibrary.ONEDNN.reason());
    }
  }
}
