package dev.heddle.train.dataset;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** Where the files of a data set come from: the ones shipped in the jar, or a folder. */
record DataFiles(@Nullable Path folder) {

  /** The name of a file as refusals say it. */
  String name(String file) {
    return folder == null ? "emoji/" + file : folder.resolve(file).toString();
  }

  /**
   * Opens a file.
   *
   * @throws DatasetException when it cannot be opened
   */
  InputStream open(String file) {
    try {
      if (folder != null) {
        return Files.newInputStream(folder.resolve(file));
      }
      InputStream stream = DataFiles.class.getResourceAsStream("emoji/" + file);
      if (stream == null) {
        throw new DatasetException(name(file), "not shipped with this build of Heddle");
      }
      return stream;
    } catch (NoSuchFileException e) {
      throw new DatasetException(name(file), "there is no such file", e);
    } catch (IOException e) {
      throw new DatasetException(name(file), "cannot be read: " + e, e);
    }
  }

  /**
   * Reads a whole file.
   *
   * @throws DatasetException when it cannot be read
   */
  byte[] read(String file) {
    try (InputStream stream = open(file)) {
      return stream.readAllBytes();
    } catch (IOException e) {
      throw new DatasetException(name(file), "cannot be read: " + e, e);
    }
  }
}
