package dev.heddle.train.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointStoreTest {
  @TempDir Path run;

  private CheckpointStore store;

  @BeforeEach
  void open() {
    store = new CheckpointStore(CheckpointStore.folderOf(run), 2);
  }

  private Path save(long step) {
    return save(store, step);
  }

  private static Path save(CheckpointStore store, long step) {
    return store.save(
        step,
        draft -> {
          draft.attribute("seed", "7");
          draft.text("vocabulary.json", "[\"é\"]");
          draft.tensors(
              "model.safetensors",
              Map.of(),
              List.of(TensorSpec.of("w", TensorType.I64, 4)),
              tensor -> MemorySegment.ofArray(new long[] {step, step, step, step}));
        });
  }

  @Test
  void save_thenResume_givesEverythingBack() {
    Path folder = save(50);
    assertThat(folder.getFileName()).hasToString("0001-step-00000050");
    for (Path named : List.of(run, CheckpointStore.folderOf(run), folder)) {
      try (Checkpoint checkpoint = CheckpointStore.resume(named)) {
        assertThat(checkpoint.step()).isEqualTo(50);
        assertThat(checkpoint.folder()).isEqualTo(folder);
        assertThat(checkpoint.attribute("seed")).contains("7");
        assertThat(checkpoint.attribute("other")).isEmpty();
        assertThat(checkpoint.text("vocabulary.json")).isEqualTo("[\"é\"]");
        assertThat(
                checkpoint
                    .tensors("model.safetensors")
                    .data("w")
                    .toArray(java.lang.foreign.ValueLayout.JAVA_LONG))
            .containsOnly(50);
        assertThatThrownBy(() -> checkpoint.text("other"))
            .hasMessageContaining("there is no file other in the checkpoint; there are [");
      }
    }
  }

  @Test
  void save_moreThanAreKept_removesTheOldestByAgeNotByStep() throws IOException {
    save(100);
    save(200);
    save(50); // A run that started over in the same folder.
    try (Checkpoint checkpoint = CheckpointStore.resume(run)) {
      assertThat(checkpoint.step()).isEqualTo(50);
    }
    assertThat(store.list())
        .extracting(path -> path.getFileName().toString())
        .containsExactly("0002-step-00000200", "0003-step-00000050");
    try (Stream<Path> files = Files.list(CheckpointStore.folderOf(run))) {
      assertThat(files).hasSize(2);
    }
  }

  @Test
  void save_thatFails_leavesEarlierCheckpointsAndIsCleanedUpByTheNext() throws IOException {
    save(1);
    assertThatThrownBy(
            () ->
                store.save(
                    2,
                    draft -> {
                      draft.text("a.txt", "a");
                      throw new IOException("no space left");
                    }))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContaining("no space left")
        .hasMessageEndingWith("earlier checkpoints are untouched");
    try (Checkpoint checkpoint = CheckpointStore.resume(run)) {
      assertThat(checkpoint.step()).isEqualTo(1);
    }
    save(3);
    try (Stream<Path> files = Files.list(CheckpointStore.folderOf(run))) {
      assertThat(files).hasSize(2);
    }
  }

  @Test
  void resume_fileCutShort_isRefusedWithTheFileAndTheReason() throws IOException {
    save(1);
    Path file = save(2).resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 1));
    assertThatThrownBy(() -> CheckpointStore.resume(run))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(
            "%s: has %d bytes and the manifest says %d: cut short"
                .formatted(file, bytes.length - 1, bytes.length))
        .hasMessageContaining("the one before it is " + store.list().getFirst());
    try (Checkpoint previous = CheckpointStore.resume(store.list().getFirst())) {
      assertThat(previous.step()).isEqualTo(1);
    }
  }

  @Test
  void resume_fileWithOneBitChanged_isRefusedWithTheFileAndTheReason() throws IOException {
    Path folder = save(2);
    for (String name : List.of("model.safetensors", "vocabulary.json", Manifest.NAME)) {
      Path file = folder.resolve(name);
      byte[] bytes = Files.readAllBytes(file);
      for (int at = 0; at < bytes.length; at += 3) {
        byte[] edited = bytes.clone();
        edited[at] ^= 1;
        Files.write(file, edited);
        if (isOnlySpaceAtTheEnd(name, bytes, at)) {
          continue;
        }
        assertThatThrownBy(() -> CheckpointStore.resume(folder).close())
            .as("%s with byte %d changed", name, at)
            .isInstanceOf(CheckpointException.class)
            .hasMessageStartingWith(file + ": ");
      }
      Files.write(file, bytes);
    }
    CheckpointStore.resume(folder).close();
  }

  /** The line breaks after the manifest's own sum say nothing. */
  private static boolean isOnlySpaceAtTheEnd(String name, byte[] bytes, int at) {
    return name.equals(Manifest.NAME) && at >= bytes.length - 3 && bytes[at] == '\n';
  }

  @Test
  void resume_editedManifestOrMissingFile_saysSo() throws IOException {
    Path folder = save(2);
    Path manifest = folder.resolve(Manifest.NAME);
    String text = Files.readString(manifest);
    Files.writeString(manifest, text.replace("\"step\": 2", "\"step\": 3"));
    assertThatThrownBy(() -> CheckpointStore.resume(folder))
        .hasMessage(manifest + ": its text does not match its own check sum: it was edited");
    Files.writeString(manifest, text.replace("\"version\": 1", "\"version\": 2"));
    assertThatThrownBy(() -> CheckpointStore.resume(folder))
        .hasMessageContaining("version 2, and this Heddle reads heddle-checkpoint version 1");
    Files.writeString(manifest, text);
    Files.delete(folder.resolve("vocabulary.json"));
    assertThatThrownBy(() -> CheckpointStore.resume(folder))
        .hasMessageContaining("vocabulary.json: missing, and the manifest lists it");
  }

  @Test
  void resume_whereThereIsNoCheckpoint_saysWhatToName() throws IOException {
    assertThatThrownBy(() -> CheckpointStore.resume(run))
        .hasMessageStartingWith(run + ": there is no finished checkpoint in it");
    assertThatThrownBy(() -> CheckpointStore.resume(run.resolve("absent")))
        .hasMessageEndingWith("there is no such folder; name the output folder of a run");
    Path file = Files.writeString(run.resolve("file"), "x");
    assertThatThrownBy(() -> CheckpointStore.resume(file))
        .hasMessageEndingWith("not a folder; name the output folder of a run");
  }

  @Test
  void draft_nameThatLeavesTheFolder_isRefused() {
    for (String name : List.of("../x", "a/b", ".hidden", "", Manifest.NAME)) {
      assertThatThrownBy(() -> store.save(1, draft -> draft.text(name, "")))
          .isInstanceOf(IllegalArgumentException.class);
    }
    String evil = new Manifest(1, Map.of(), List.of(new FileSum("../x", 0, 0))).toJson();
    assertThatThrownBy(() -> Manifest.parse(evil)).hasMessageContaining("'../x' is not the name");
  }

  @Test
  void replace_aFile_leavesNoTemporaryFile() throws IOException {
    Path file = run.resolve("config.yaml");
    DurableFiles.replace(file, "one");
    DurableFiles.replace(file, "two");
    assertThat(file).hasContent("two");
    try (Stream<Path> files = Files.list(run)) {
      assertThat(files).containsExactly(file);
    }
  }
}
