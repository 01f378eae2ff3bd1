package dev.heddle.train.checkpoint;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.zip.CRC32C;

/** Writes safetensors files, one tensor in memory at a time. */
public final class SafetensorsWriter {
  // A buffer's length is an int; smaller pieces also let the disk work while the next is summed.
  private static final long PIECE = 16L << 20;
  private static final int STAGING = 1 << 20;

  private SafetensorsWriter() {}

  /**
   * The order in which {@link #write} asks for the tensors. Ranks that gather a tensor together
   * walk this list.
   *
   * @throws IllegalArgumentException when a name is there twice
   */
  public static List<TensorSpec> order(List<TensorSpec> tensors) {
    return SafetensorsHeader.of(Map.of(), tensors).entries().stream()
        .map(SafetensorsHeader.Entry::tensor)
        .toList();
  }

  /**
   * Writes a file that must not exist yet and waits until it is on the disk.
   *
   * @param file where to
   * @param metadata free texts for the header
   * @param tensors what it holds
   * @param data gives the bytes of a tensor: little-endian, row-major; asked once for each tensor,
   *     in {@link #order}; the bytes are used before the next tensor is asked for
   * @return the size and the check sum of the file
   * @throws IOException when the disk refuses
   * @throws IllegalArgumentException when the bytes given are not as many as the shape needs
   */
  static FileSum write(
      Path file,
      Map<String, String> metadata,
      List<TensorSpec> tensors,
      Function<TensorSpec, MemorySegment> data)
      throws IOException {
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new UnsupportedOperationException(
          "safetensors files are little-endian and this machine is not");
    }
    SafetensorsHeader header = SafetensorsHeader.of(metadata, tensors);
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      CRC32C sum = new CRC32C();
      append(channel, sum, MemorySegment.ofArray(header.toBytes()));
      for (SafetensorsHeader.Entry entry : header.entries()) {
        MemorySegment bytes = data.apply(entry.tensor());
        if (bytes.byteSize() != entry.tensor().byteSize()) {
          throw new IllegalArgumentException(
              "%s needs %d bytes and %d were given"
                  .formatted(entry.tensor(), entry.tensor().byteSize(), bytes.byteSize()));
        }
        append(channel, sum, bytes);
      }
      channel.force(true);
      return new FileSum(file.getFileName().toString(), channel.size(), sum.getValue());
    }
  }

  private static void append(FileChannel channel, CRC32C sum, MemorySegment bytes)
      throws IOException {
    // An array of numbers has no view as a byte buffer, so it goes through a small native one.
    ByteBuffer staging = bytes.isNative() ? null : ByteBuffer.allocateDirect(STAGING);
    long longest = staging == null ? PIECE : STAGING;
    for (long at = 0; at < bytes.byteSize(); at += longest) {
      MemorySegment piece = bytes.asSlice(at, Math.min(longest, bytes.byteSize() - at));
      ByteBuffer buffer;
      if (staging == null) {
        buffer = piece.asByteBuffer();
      } else {
        buffer = staging.clear().limit((int) piece.byteSize());
        MemorySegment.ofBuffer(buffer).copyFrom(piece);
      }
      sum.update(buffer);
      buffer.flip();
      while (buffer.hasRemaining()) {
        channel.write(buffer);
      }
    }
  }
}
