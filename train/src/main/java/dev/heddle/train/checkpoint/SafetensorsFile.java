package dev.heddle.train.checkpoint;

import dev.heddle.train.json.JsonException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A safetensors file, mapped read-only: opening it reads the header, and a tensor's bytes come into
 * memory when they are used. Any thread may read; whoever opened the file closes it, after which
 * its segments are refused by the JDK.
 */
public final class SafetensorsFile implements AutoCloseable {
  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path path;
  private final Arena arena;
  private final MemorySegment data;
  private final Map<String, String> metadata;
  private final Map<String, SafetensorsHeader.Entry> entries = new LinkedHashMap<>();

  private SafetensorsFile(Path path, Arena arena, MemorySegment data, SafetensorsHeader header) {
    this.path = path;
    this.arena = arena;
    this.data = data;
    this.metadata = header.metadata();
    header.entries().forEach(entry -> entries.put(entry.tensor().name(), entry));
  }

  /**
   * Opens a file and checks its header against its length.
   *
   * @throws CheckpointException when the file is missing, cut short or not what its header says
   */
  @SuppressWarnings("MustBeClosedChecker") // The arena is closed by close().
  public static SafetensorsFile open(Path path) {
    Arena arena = Arena.ofShared();
    try {
      MemorySegment file = map(path, arena);
      long size = file.byteSize();
      if (size < 8) {
        throw new CheckpointException(
            path, "cut short: " + size + " bytes, and the length of the header alone is 8");
      }
      long length = file.get(LENGTH, 0);
      if (length < 0 || length > SafetensorsHeader.LONGEST) {
        throw new CheckpointException(
            path,
            "the header claims %s bytes, and %d are the most: not a safetensors file"
                .formatted(Long.toUnsignedString(length), SafetensorsHeader.LONGEST));
      }
      if (length > size - 8) {
        throw new CheckpointException(
            path,
            "cut short: the header has " + length + " bytes and only " + (size - 8) + " follow");
      }
      SafetensorsHeader header =
          SafetensorsHeader.parse(file.asSlice(8, length).asByteBuffer(), size - 8 - length);
      return new SafetensorsFile(path, arena, file.asSlice(8 + length), header);
    } catch (JsonException e) {
      arena.close();
      throw new CheckpointException(path, String.valueOf(e.getMessage()), e);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  private static MemorySegment map(Path path, Arena arena) {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    } catch (NoSuchFileException e) {
      throw new CheckpointException(path, "there is no such file", e);
    } catch (IOException e) {
      throw new CheckpointException(path, "cannot be read: " + e.getMessage(), e);
    }
  }

  /** The file. */
  public Path path() {
    return path;
  }

  /** The free texts of the header. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** The tensors in the order of their data. */
  public List<TensorSpec> tensors() {
    return entries.values().stream().map(SafetensorsHeader.Entry::tensor).toList();
  }

  /** The tensor with this name, if it is there. */
  public Optional<TensorSpec> tensor(String name) {
    return Optional.ofNullable(entries.get(name)).map(SafetensorsHeader.Entry::tensor);
  }

  /**
   * The bytes of a tensor: read-only, little-endian, row-major, valid until {@link #close}.
   *
   * @throws CheckpointException when there is no such tensor; the message lists what there is
   */
  public MemorySegment data(String name) {
    SafetensorsHeader.Entry entry = entries.get(name);
    if (entry == null) {
      throw new CheckpointException(
          path, "there is no tensor " + name + " in it; there are " + entries.keySet());
    }
    return data.asSlice(entry.begin(), entry.end() - entry.begin());
  }

  /** Unmaps the file. */
  @Override
  public void close() {
    arena.close();
  }
}
