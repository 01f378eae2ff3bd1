package dev.heddle.bindings;

import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.jar.JarEntry;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import org.jspecify.annotations.Nullable;

/**
 * oneDNN out of the Maven artifact {@code org.bytedeco:dnnl}, used as a mere container of files:
 * its Java classes and JavaCPP are not touched.
 *
 * <p>A shared library can only be opened from a file, so the two or three files are unpacked into
 * the cache folder, in a sub-folder named after their checksums. Another version of the artifact
 * thus gets another folder, and a later start finds the files there and only compares sizes. Each
 * file is written under a temporary name and then renamed, so that JVMs starting at the same time
 * never see half a file; whichever renames last wins, with equal bytes.
 */
final class OneDnnArtifact {
  private OneDnnArtifact() {}

  /** The resource folder that holds a platform's files. */
  static String folder(Platform platform) {
    return "org/bytedeco/dnnl/" + platform.classifier() + "/";
  }

  /** File names, those that others depend on first. */
  static List<String> fileNames(Platform platform) {
    return switch (platform.system()) {
      case LINUX, OTHER -> List.of("libgomp.so.1", "libdnnl.so.3");
      case MACOS -> List.of("libomp.dylib", "libdnnl.3.dylib");
      case WINDOWS -> List.of("dnnl.dll");
    };
  }

  /**
   * The unpacked files in the order to open them, or empty if the artifact is not on the class
   * path.
   *
   * @param cache the folder under which they are kept
   * @throws IOException if they cannot be read or written
   */
  static Optional<List<Path>> unpack(Platform platform, Path cache) throws IOException {
    List<Entry> entries = new ArrayList<>();
    for (String name : fileNames(platform)) {
      URL resource = resource(folder(platform) + name);
      if (resource == null) {
        return Optional.empty();
      }
      entries.add(Entry.of(name, resource));
    }
    StringBuilder key = new StringBuilder("onednn-").append(platform.classifier());
    for (Entry entry : entries) {
      key.append('-').append(String.format(Locale.ROOT, "%08x", entry.checksum));
    }
    Path target = cache.resolve("natives").resolve(key.toString());
    List<Path> files = new ArrayList<>();
    for (Entry entry : entries) {
      files.add(entry.unpackInto(target));
    }
    return Optional.of(files);
  }

  private static @Nullable URL resource(String name) {
    ClassLoader own = OneDnnArtifact.class.getClassLoader();
    URL found = own == null ? null : own.getResource(name);
    ClassLoader context = Thread.currentThread().getContextClassLoader();
    return found == null && context != null ? context.getResource(name) : found;
  }

  private record Entry(String name, URL resource, long size, long checksum) {

    static Entry of(String name, URL resource) throws IOException {
      URLConnection connection = resource.openConnection();
      if (connection instanceof JarURLConnection jar) {
        JarEntry entry = jar.getJarEntry();
        if (entry.getSize() >= 0 && entry.getCrc() >= 0) {
          return new Entry(name, resource, entry.getSize(), entry.getCrc());
        }
      }
      // An unusual class loader: no directory to read the checksum from, so read the file.
      try (CheckedInputStream in =
          new CheckedInputStream(connection.getInputStream(), new CRC32())) {
        long size = in.transferTo(java.io.OutputStream.nullOutputStream());
        return new Entry(name, resource, size, in.getChecksum().getValue());
      }
    }

    Path unpackInto(Path folder) throws IOException {
      Path file = folder.resolve(name);
      if (isComplete(file)) {
        return file;
      }
      Files.createDirectories(folder);
      // Not createTempFile: its owner-only permission would lock others out of a shared cache.
      Path temporary =
          folder.resolve(
              "%s.%d-%x.part".formatted(name, ProcessHandle.current().pid(), System.nanoTime()));
      try {
        try (InputStream in = resource.openStream()) {
          Files.copy(in, temporary);
        }
        if (!isComplete(temporary)) {
          throw new IOException(
              "%s has %d bytes, wanted %d: is the disk of %s full?"
                  .formatted(temporary, Files.size(temporary), size, folder));
        }
        Files.move(
            temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      } catch (IOException failure) {
        // Windows does not replace a library that another JVM has just put there and opened.
        if (!isComplete(file)) {
          throw failure;
        }
      } finally {
        Files.deleteIfExists(temporary);
      }
      return file;
    }

    private boolean isComplete(Path file) throws IOException {
      return Files.isRegularFile(file) && Files.size(file) == size;
    }
  }
}
