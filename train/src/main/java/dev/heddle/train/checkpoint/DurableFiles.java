package dev.heddle.train.checkpoint;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.stream.Stream;

/**
 * Files that survive the end of the process and of the power. A rename is atomic but not durable, a
 * write is neither; the order write, sync, rename, sync of the folder makes both.
 */
public final class DurableFiles {
  private DurableFiles() {}

  /** Writes the content of a file. */
  @FunctionalInterface
  public interface Content {
    /** Writes all of it. */
    void writeTo(Writer out) throws IOException;
  }

  /**
   * Puts a text into a file at once: whoever reads it sees the old text or the new one.
   *
   * @param file the file, which may exist
   * @param text its new content
   * @throws IOException when the disk refuses
   */
  public static void replace(Path file, String text) throws IOException {
    replace(file, out -> out.write(text));
  }

  /**
   * Puts a text that is not in memory as a whole into a file at once.
   *
   * @param file the file, which may exist
   * @param content writes the new content in UTF-8; when it fails the file stays as it was
   * @throws IOException when the disk refuses
   */
  public static void replace(Path file, Content content) throws IOException {
    Path folder = file.toAbsolutePath().normalize().getParent();
    if (folder == null) {
      throw new IOException(file + " is not a file in a folder");
    }
    Path temporary = folder.resolve("." + file.getFileName() + ".writing");
    Files.deleteIfExists(temporary);
    try (FileChannel channel =
        FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      Writer out = new BufferedWriter(Channels.newWriter(channel, StandardCharsets.UTF_8));
      content.writeTo(out);
      out.flush();
      channel.force(true);
    } catch (Throwable e) {
      Files.deleteIfExists(temporary);
      throw e;
    }
    Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    syncFolder(folder);
  }

  /** Makes a folder, with those above it, whose names survive the end of the power. */
  static void createFolders(Path folder) throws IOException {
    if (Files.isDirectory(folder)) {
      return;
    }
    Path above = folder.toAbsolutePath().normalize().getParent();
    if (above != null) {
      createFolders(above);
      Files.createDirectories(folder);
      syncFolder(above);
    }
  }

  /** Writes a new file and waits until it is on the disk. */
  static void create(Path file, byte[] content) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap(content);
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true);
    }
  }

  /** Waits until the names in a folder are on the disk. */
  static void syncFolder(Path folder) throws IOException {
    // Windows cannot open a folder, and its file system keeps names in a journal of its own.
    if (java.io.File.separatorChar == '\\') {
      return;
    }
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  /** Deletes a folder and the files in it. */
  static void deleteFolder(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }
}
