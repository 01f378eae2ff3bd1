package dev.heddle.train.dataset;

/** Who speaks the words: a synthesiser in two settings. All of it is synthetic speech. */
public enum Voice {
  /** A male voice: the one that a model is trained on. */
  FIRST("words-a.ima"),
  /** A female voice: one that a model never hears in training. */
  SECOND("words-b.ima");

  private final String fileName;

  Voice(String fileName) {
    this.fileName = fileName;
  }

  /** The name of the file with its recordings. */
  public String fileName() {
    return fileName;
  }
}
