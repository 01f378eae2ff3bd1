package dev.heddle.train.checkpoint;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** A checkpoint being written. Nobody sees it before {@link CheckpointStore#save} returns. */
public final class CheckpointDraft {
  private final Path folder;
  private final Map<String, String> attributes = new LinkedHashMap<>();
  private final List<FileSum> files = new ArrayList<>();

  CheckpointDraft(Path folder) {
    this.folder = folder;
  }

  /**
   * Keeps a short text in the manifest.
   *
   * @param key its name
   * @param value the text
   */
  public void attribute(String key, String value) {
    attributes.put(key, value);
  }

  /**
   * Adds a text file.
   *
   * @param fileName a plain name, such as {@code vocabulary.json}
   * @param text its content
   * @throws IOException when the disk refuses
   */
  public void text(String fileName, String text) throws IOException {
    byte[] content = text.getBytes(StandardCharsets.UTF_8);
    DurableFiles.create(file(fileName), content);
    files.add(FileSum.of(fileName, content));
  }

  /**
   * Adds a file of tensors.
   *
   * @param fileName a plain name, such as {@code model.safetensors}
   * @param metadata free texts for the header
   * @param tensors what it holds: global names and shapes
   * @param data gives the bytes of a tensor: little-endian, row-major; asked once for each tensor
   *     in {@link SafetensorsWriter#order}; the bytes are used before the next tensor is asked for
   * @throws IOException when the disk refuses
   */
  public void tensors(
      String fileName,
      Map<String, String> metadata,
      List<TensorSpec> tensors,
      Function<TensorSpec, MemorySegment> data)
      throws IOException {
    files.add(SafetensorsWriter.write(file(fileName), metadata, tensors, data));
  }

  private Path file(String name) {
    if (!Manifest.isFileName(name)) {
      throw new IllegalArgumentException(
          "'" + name + "' is not a plain file name, such as model.safetensors");
    }
    return folder.resolve(name);
  }

  /**
   * Ends the draft: the manifest is the last file, so its presence says that all others are there.
   */
  void finish(long step) throws IOException {
    String manifest = new Manifest(step, attributes, files).toJson();
    DurableFiles.create(folder.resolve(Manifest.NAME), manifest.getBytes(StandardCharsets.UTF_8));
    DurableFiles.syncFolder(folder);
  }
}
