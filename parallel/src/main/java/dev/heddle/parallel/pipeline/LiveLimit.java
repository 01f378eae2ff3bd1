package dev.heddle.parallel.pipeline;

/** How many microbatches may be under way somewhere: their activations take memory. */
final class LiveLimit {
  private final int most;
  private int live;

  LiveLimit(int most) {
    this.most = most;
  }

  /** As many as there are. */
  static LiveLimit none() {
    return new LiveLimit(Integer.MAX_VALUE);
  }

  boolean hasRoom() {
    return live < most;
  }

  void take() {
    live++;
  }

  void release() {
    live--;
  }
}
