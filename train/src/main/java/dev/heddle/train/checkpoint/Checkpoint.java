package dev.heddle.train.checkpoint;

import dev.heddle.train.json.JsonException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A checkpoint on the disk, opened after every file in it was compared with the manifest. Its
 * tensor files stay mapped until it is closed.
 */
public final class Checkpoint implements AutoCloseable {
  private final Path folder;
  private final Manifest manifest;
  private final List<SafetensorsFile> opened = new ArrayList<>();

  private Checkpoint(Path folder, Manifest manifest) {
    this.folder = folder;
    this.manifest = manifest;
  }

  /**
   * Opens one checkpoint.
   *
   * @param folder the checkpoint's own folder, such as {@code
   *     runs/x/checkpoints/0001-step-00000050}
   * @throws CheckpointException when a file is missing, cut short or edited; with the file
   */
  public static Checkpoint open(Path folder) {
    Path file = folder.resolve(Manifest.NAME);
    Manifest manifest;
    try {
      manifest = Manifest.parse(Files.readString(file));
    } catch (JsonException e) {
      throw new CheckpointException(file, String.valueOf(e.getMessage()), e);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read: " + e, e);
    }
    for (FileSum expected : manifest.files()) {
      compare(folder.resolve(expected.name()), expected);
    }
    return new Checkpoint(folder, manifest);
  }

  private static void compare(Path file, FileSum expected) {
    FileSum found;
    try {
      long size = Files.exists(file) ? Files.size(file) : -1;
      if (size != expected.bytes()) {
        throw new CheckpointException(
            file,
            size < 0
                ? "missing, and the manifest lists it"
                : "has %d bytes and the manifest says %d: %s"
                    .formatted(
                        size,
                        expected.bytes(),
                        size < expected.bytes() ? "cut short" : "something was added"));
      }
      found = FileSum.of(file);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read: " + e, e);
    }
    if (found.crc32c() != expected.crc32c()) {
      throw new CheckpointException(
          file,
          "has the CRC-32C %s and the manifest says %s: it was edited or is damaged"
              .formatted(found.hex(), expected.hex()));
    }
  }

  /** The checkpoint's folder. */
  public Path folder() {
    return folder;
  }

  /** The optimizer step after which it was taken. */
  public long step() {
    return manifest.step();
  }

  /** A short text of the manifest, if it is there. */
  public Optional<String> attribute(String key) {
    return Optional.ofNullable(manifest.attributes().get(key));
  }

  /** All short texts of the manifest. */
  public Map<String, String> attributes() {
    return Map.copyOf(manifest.attributes());
  }

  /** The names of its files. */
  public List<String> files() {
    return manifest.files().stream().map(FileSum::name).toList();
  }

  /**
   * The content of a text file.
   *
   * @throws CheckpointException when it is not part of the checkpoint
   */
  public String text(String fileName) {
    Path file = file(fileName);
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read: " + e, e);
    }
  }

  /**
   * Opens a file of tensors; closing the checkpoint closes it.
   *
   * @throws CheckpointException when it is not part of the checkpoint or not a safetensors file
   */
  public synchronized SafetensorsFile tensors(String fileName) {
    SafetensorsFile file = SafetensorsFile.open(file(fileName));
    opened.add(file);
    return file;
  }

  private Path file(String name) {
    if (!files().contains(name)) {
      throw new CheckpointException(
          folder, "there is no file " + name + " in the checkpoint; there are " + files());
    }
    return folder.resolve(name);
  }

  /** Unmaps its tensor files. */
  @Override
  public synchronized void close() {
    opened.forEach(SafetensorsFile::close);
    opened.clear();
  }
}
