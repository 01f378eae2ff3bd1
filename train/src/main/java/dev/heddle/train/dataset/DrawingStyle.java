package dev.heddle.train.dataset;

/** Who drew the pictures: the same emoji exist in each style. */
public enum DrawingStyle {
  /** Noto Emoji: the style that a model is trained on. */
  GOOGLE("google-32.png"),
  /** Twemoji: the style that a model never sees in training. */
  TWITTER("twitter-32.png");

  private final String fileName;

  DrawingStyle(String fileName) {
    this.fileName = fileName;
  }

  /** The sheet's file name. */
  public String fileName() {
    return fileName;
  }
}
