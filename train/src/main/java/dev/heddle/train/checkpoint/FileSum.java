package dev.heddle.train.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.zip.CRC32C;

/**
 * What a file must be: enough to notice that it was cut short or edited.
 *
 * @param name the file's name in its folder
 * @param bytes its length
 * @param crc32c the CRC-32C of its bytes; the processor computes it faster than a disk reads
 */
record FileSum(String name, long bytes, long crc32c) {

  /** The check sum as eight hexadecimal digits. */
  String hex() {
    return HexFormat.of().toHexDigits(crc32c, 8);
  }

  /** Reads a file and sums it up. */
  static FileSum of(Path file) throws IOException {
    CRC32C sum = new CRC32C();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
      while (channel.read(buffer) >= 0) {
        buffer.flip();
        sum.update(buffer);
        buffer.clear();
      }
      return new FileSum(file.getFileName().toString(), channel.size(), sum.getValue());
    }
  }

  /** Sums up bytes in memory. */
  static FileSum of(String name, byte[] content) {
    CRC32C sum = new CRC32C();
    sum.update(content);
    return new FileSum(name, content.length, sum.getValue());
  }
}
