import dev.heddle.train.config.DataConfig;
import dev.heddle.train.dataset.Augmentation;
import dev.heddle.train.dataset.Emoji;
import dev.heddle.train.dataset.EmojiDataset;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/**
 * Speaks the words of the emoji's names with espeak-ng and packs them. Run by {@code speak-emoji}.
 *
 * <p>One recording a word, not a name: the 1,911 names are made of 1,731 words, so two voices fit
 * where the names themselves would hardly fit once. Each word is spoken on its own, brought to 8
 * kHz, to one loudness (peak 3 dB below full), cut at the silence on both sides, and coded by SoX as
 * IMA ADPCM, 4 bits a sample, the high half of a byte first. No dither: the bytes are the same each
 * time.
 *
 * <p>A file, numbers big-endian: the bytes {@code HDLWORDS}; int version 1; int bytes of the head
 * (all before the sounds); long bytes of the whole file; the voice as UTF (Java's {@code writeUTF});
 * int samples a second; int words; for each word in alphabetical order the word as UTF, int samples
 * and int CRC-32 of its sound; int CRC-32 of the head up to here. Then the sounds in the same order,
 * (samples + 1) / 2 bytes each.
 */
final class SpeakEmoji {
  private static final int SAMPLE_RATE = 8000;
  private static final Map<String, String> VOICES =
      Map.of("words-a.ima", "en-us", "words-b.ima", "en-us+f3");
  private static final Map<String, String> SIGNS = Map.of("#", "hash", "*", "asterisk");

  private SpeakEmoji() {}

  public static void main(String[] arguments) throws IOException {
    EmojiDataset dataset =
        EmojiDataset.open(new DataConfig(DataConfig.EMOJI, 2, null), 0, Augmentation.NONE);
    TreeSet<String> words = new TreeSet<>();
    Stream.concat(dataset.training().stream(), dataset.heldOut().stream())
        .map(Emoji::words)
        .forEach(words::addAll);
    String program = text(run("espeak-ng", "--version")).replaceAll(" +Data at.*", "").strip();
    for (Map.Entry<String, String> voice : VOICES.entrySet()) {
      Path file = Path.of(arguments[0]).resolve(voice.getKey());
      byte[] packed =
          pack(
              "synthetic speech, %s, voice %s".formatted(program, voice.getValue()),
              List.copyOf(words),
              words.parallelStream().map(word -> speak(voice.getValue(), word)).toList());
      Files.write(file, packed);
      System.out.printf("%s: %d words, %d bytes%n", file, words.size(), packed.length);
    }
  }

  private static byte[] pack(String voice, List<String> words, List<byte[]> sounds)
      throws IOException {
    byte[] index = index(voice, words, sounds);
    int head = 8 + 4 + 4 + 8 + index.length + 4;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.write("HDLWORDS".getBytes(StandardCharsets.US_ASCII));
    out.writeInt(1);
    out.writeInt(head);
    out.writeLong(head + sounds.stream().mapToLong(sound -> sound.length).sum());
    out.write(index);
    out.writeInt(sum(bytes.toByteArray()));
    for (byte[] sound : sounds) {
      out.write(sound);
    }
    return bytes.toByteArray();
  }

  private static byte[] index(String voice, List<String> words, List<byte[]> sounds)
      throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    out.writeUTF(voice);
    out.writeInt(SAMPLE_RATE);
    out.writeInt(words.size());
    for (int i = 0; i < words.size(); i++) {
      out.writeUTF(words.get(i));
      out.writeInt(2 * sounds.get(i).length);
      out.writeInt(sum(sounds.get(i)));
    }
    return bytes.toByteArray();
  }

  private static int sum(byte[] bytes) {
    CRC32 sum = new CRC32();
    sum.update(bytes);
    return (int) sum.getValue();
  }

  private static byte[] speak(String voice, String word) {
    try {
      Path wave = Files.createTempFile("word", ".wav");
      String spoken = SIGNS.getOrDefault(word, word);
      run("espeak-ng", "-z", "-v", voice, "-s", "190", "-w", wave.toString(), "--", spoken);
      List<String> sox = new ArrayList<>(List.of("sox", "-D", wave.toString()));
      sox.addAll(List.of("-r", String.valueOf(SAMPLE_RATE), "-c", "1", "-t", "ima", "-"));
      sox.addAll(List.of("gain", "-n", "-3"));
      for (int end = 0; end < 2; end++) {
        sox.addAll(List.of("silence", "1", "0.005", "1%", "reverse"));
      }
      byte[] sound = run(sox.toArray(String[]::new));
      Files.delete(wave);
      if (sound.length < SAMPLE_RATE / 40) {
        throw new IOException("'" + word + "': a sound of " + sound.length + " bytes only");
      }
      return sound;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static byte[] run(String... command) throws IOException {
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    try {
      byte[] output = process.getInputStream().readAllBytes();
      if (process.waitFor() != 0) {
        throw new IOException(String.join(" ", command) + ": exit status " + process.exitValue());
      }
      return output;
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }
}
