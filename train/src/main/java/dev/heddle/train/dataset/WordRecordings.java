package dev.heddle.train.dataset;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.zip.CRC32;
import org.jspecify.annotations.Nullable;

/**
 * A file of spoken words, one recording a word. Opening reads its head alone, which says how long
 * each recording is; the sounds are read when the first one is asked for, once per process, and
 * decoded one by one. Every part has a checksum. {@code train/data/SpeakEmoji.java} writes such
 * files and says what is in them. Safe for use by many threads.
 */
final class WordRecordings {
  /** Samples a second. */
  static final int SAMPLE_RATE = 8000;

  private static final byte[] MARK = "HDLWORDS".getBytes(StandardCharsets.US_ASCII);
  private static final int VERSION = 1;
  private static final int FIXED_HEAD = 24;
  private static final int LARGEST_FILE = 1 << 30;

  private final DataFiles files;
  private final String file;
  private final String voice;
  private final int fileBytes;
  private final Map<String, Recording> recordings;
  private byte @Nullable [] bytes;

  /** Where a word's sound is in the file, how many samples it codes, and its checksum. */
  private record Recording(int at, int samples, int sum) {}

  private WordRecordings(
      DataFiles files,
      String file,
      String voice,
      int fileBytes,
      Map<String, Recording> recordings) {
    this.files = files;
    this.file = file;
    this.voice = voice;
    this.fileBytes = fileBytes;
    this.recordings = recordings;
  }

  /**
   * Opens a file.
   *
   * @throws DatasetException when it cannot be read or its head is not whole and unchanged
   */
  static WordRecordings open(DataFiles files, String file) {
    try (InputStream stream = files.open(file)) {
      byte[] fixed = stream.readNBytes(FIXED_HEAD);
      ByteBuffer start = ByteBuffer.wrap(fixed);
      byte[] mark = new byte[MARK.length];
      start.get(mark, 0, Math.min(mark.length, fixed.length));
      if (fixed.length < FIXED_HEAD || !Arrays.equals(mark, MARK)) {
        throw refusal(files, file, "not a file of spoken words: it does not begin with HDLWORDS");
      }
      int version = start.getInt();
      int head = start.getInt();
      long size = start.getLong();
      if (version != VERSION) {
        throw refusal(files, file, "has version " + version + ", this program reads " + VERSION);
      }
      if (head < FIXED_HEAD + Integer.BYTES || size < head || size > LARGEST_FILE) {
        throw refusal(
            files, file, "its head is damaged: a head of " + head + " of " + size + " bytes");
      }
      byte[] index = stream.readNBytes(head - FIXED_HEAD);
      if (index.length < head - FIXED_HEAD) {
        throw refusal(
            files,
            file,
            "ends after " + (FIXED_HEAD + index.length) + " bytes, within its head of " + head);
      }
      CRC32 sum = new CRC32();
      sum.update(fixed);
      sum.update(index, 0, index.length - Integer.BYTES);
      int stored = ByteBuffer.wrap(index).getInt(index.length - Integer.BYTES);
      if ((int) sum.getValue() != stored) {
        throw refusal(files, file, "its head was changed: " + sums(stored, (int) sum.getValue()));
      }
      return read(files, file, head, (int) size, index);
    } catch (IOException e) {
      throw new DatasetException(files.name(file), "cannot be read: " + e, e);
    }
  }

  private static WordRecordings read(DataFiles files, String file, int head, int size, byte[] index)
      throws IOException {
    DataInputStream in =
        new DataInputStream(new ByteArrayInputStream(index, 0, index.length - Integer.BYTES));
    try {
      String voice = in.readUTF();
      int rate = in.readInt();
      if (rate != SAMPLE_RATE) {
        throw refusal(
            files, file, "has %d samples a second, wanted %d".formatted(rate, SAMPLE_RATE));
      }
      int count = in.readInt();
      Map<String, Recording> recordings = new HashMap<>();
      long at = head;
      for (int i = 0; i < count; i++) {
        String word = in.readUTF();
        int samples = in.readInt();
        if (samples < 1 || at + ImaAdpcm.byteCount(samples) > size) {
          throw refusal(files, file, "'" + word + "': " + samples + " samples do not fit the file");
        }
        recordings.put(word, new Recording((int) at, samples, in.readInt()));
        at += ImaAdpcm.byteCount(samples);
      }
      if (at != size || recordings.size() != count) {
        throw refusal(
            files,
            file,
            "its head is damaged: %d words in %d bytes, %d bytes in all"
                .formatted(recordings.size(), at, size));
      }
      return new WordRecordings(files, file, voice, size, recordings);
    } catch (EOFException e) {
      throw new DatasetException(files.name(file), "its head ends within the list of words", e);
    }
  }

  /** Who speaks, and that it is synthetic. */
  String voice() {
    return voice;
  }

  /** How many words there are. */
  int wordCount() {
    return recordings.size();
  }

  /**
   * The length of a word's recording: known without reading it.
   *
   * @throws DatasetException when there is no such word
   */
  int sampleCount(String word) {
    return recording(word).samples;
  }

  /**
   * Decodes a word.
   *
   * @param target receives {@link #sampleCount} samples, the first one at {@code offset}
   * @throws DatasetException when there is no such word, or the file was cut or changed
   */
  void decode(String word, float[] target, int offset) {
    Recording recording = recording(word);
    byte[] all = bytes();
    CRC32 sum = new CRC32();
    sum.update(all, recording.at, ImaAdpcm.byteCount(recording.samples));
    if ((int) sum.getValue() != recording.sum) {
      throw refusal(
          files,
          file,
          "the sound of '" + word + "' was changed: " + sums(recording.sum, (int) sum.getValue()));
    }
    ImaAdpcm.decode(all, recording.at, recording.samples, target, offset);
  }

  private Recording recording(String word) {
    Recording recording = recordings.get(word);
    if (recording == null) {
      throw refusal(
          files,
          file,
          "has no recording of '"
              + word
              + "' among its "
              + recordings.size()
              + " words; make the file again with train/data/speak-emoji");
    }
    return recording;
  }

  private synchronized byte[] bytes() {
    if (bytes == null) {
      byte[] read = files.read(file);
      if (read.length != fileBytes) {
        throw refusal(
            files, file, "has %d bytes, its head says %d".formatted(read.length, fileBytes));
      }
      bytes = read;
    }
    return bytes;
  }

  private static String sums(int wanted, int found) {
    return "checksum %08x, wanted %08x".formatted(found, wanted);
  }

  private static DatasetException refusal(DataFiles files, String file, String reason) {
    return new DatasetException(files.name(file), reason);
  }
}
