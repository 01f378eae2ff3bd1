package dev.heddle.train.config;

/** Where a configuration value came from, so that every refusal can point at it. */
public sealed interface Origin {

  /**
   * How much a user meant this value: when several keys contradict each other, the refusal names
   * the one with the highest rank (a command-line word before a line of the file before a default).
   */
  int rank();

  /**
   * The beginning of a refusal.
   *
   * @param key the dotted key, such as {@code model.vision.heads}
   * @param shown the value as written, or an empty string when the key itself is the matter
   */
  String locate(String key, String shown);

  /**
   * Written in a file.
   *
   * @param file the file as the user named it
   * @param line the line, from 1
   * @param column the column, from 1
   */
  record InFile(String file, int line, int column) implements Origin {
    @Override
    public int rank() {
      return 1;
    }

    @Override
    public String locate(String key, String shown) {
      return file + ":" + line + ": " + join(key, shown);
    }
  }

  /**
   * Written on the command line.
   *
   * @param words the option as the user wrote it, such as {@code --set model.vision.heads=5}
   * @param key the dotted key that it sets
   */
  record OnCommandLine(String words, String key) implements Origin {
    @Override
    public int rank() {
      return 2;
    }

    @Override
    public String locate(String key, String shown) {
      // The words already hold the key and its value; repeat only what they do not say.
      return this.key.equals(key) ? words : words + ": " + join(key, shown);
    }
  }

  /**
   * Left out, so a default took its place.
   *
   * @param file the file that left it out
   */
  record ByDefault(String file) implements Origin {
    @Override
    public int rank() {
      return 0;
    }

    @Override
    public String locate(String key, String shown) {
      return file + ": " + join(key, shown) + " (left out, so the default)";
    }
  }

  private static String join(String key, String shown) {
    return shown.isEmpty() ? key : key + " = " + shown;
  }
}
