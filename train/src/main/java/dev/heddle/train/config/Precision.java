package dev.heddle.train.config;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** The number format of a run. */
public enum Precision {
  /** 32-bit floats everywhere. */
  F32,
  /** 64-bit floats on the reference kernels: slow, for checking. */
  F64,
  /** 16-bit brain floats with 32-bit master weights. */
  BF16;

  /** The word in a configuration. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The format with this word, if there is one. */
  public static Optional<Precision> of(String word) {
    return Arrays.stream(values()).filter(p -> p.word().equals(word)).findFirst();
  }

  /** All words. */
  public static List<String> words() {
    return Arrays.stream(values()).map(Precision::word).toList();
  }
}
