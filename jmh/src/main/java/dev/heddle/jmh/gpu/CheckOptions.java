package dev.heddle.jmh.gpu;

import java.nio.file.Path;
import java.util.List;

/**
 * What was asked for.
 *
 * @param root Heddle's folder, with the example and PyTorch's side
 * @param output the folder for the file
 * @param commit Heddle's commit
 * @param python the Python that may have PyTorch
 * @param tiny sizes and cases for a simulated GPU
 */
record CheckOptions(Path root, Path output, String commit, String python, boolean tiny) {
  static final String USAGE =
      """
      usage: jmh/check-gpu [--output FOLDER] [--python python3] [--tiny]
        --output  where gpu-check-DATE-GPU.json is written; the current folder if not said
        --python  the Python that has PyTorch, to measure it too
        --tiny    small sizes and few cases: to try the command itself, its figures mean nothing
      """;

  /**
   * Reads the command line.
   *
   * @throws IllegalArgumentException if it is not understood
   */
  static CheckOptions read(String... arguments) {
    Path root = Path.of("");
    Path output = Path.of("");
    String commit = "unknown";
    String python = "python3";
    boolean tiny = false;
    for (int i = 0; i < arguments.length; i++) {
      String name = arguments[i];
      if (name.equals("--tiny")) {
        tiny = true;
        continue;
      }
      if (i + 1 == arguments.length) {
        throw new IllegalArgumentException(name + ": no such option, or its value is missing");
      }
      String value = arguments[++i];
      switch (name) {
        case "--root" -> root = Path.of(value);
        case "--output" -> output = Path.of(value);
        case "--commit" -> commit = value;
        case "--python" -> python = value;
        default -> throw new IllegalArgumentException(name + ": no such option");
      }
    }
    return new CheckOptions(root, output, commit, python, tiny);
  }

  Rounds rounds() {
    return tiny ? new Rounds(2, 0) : new Rounds(9, 0.2);
  }

  int[] productSizes() {
    return tiny ? new int[] {16, 32} : new int[] {1024, 2048, 4096, 8192};
  }

  int[] headSizes() {
    return tiny ? new int[] {16} : new int[] {64, 128};
  }

  /** Bytes of the arrays of collectives. */
  List<Long> messageBytes() {
    return tiny ? List.of(4096L) : List.of(1L << 20, 16L << 20, 256L << 20);
  }
}
