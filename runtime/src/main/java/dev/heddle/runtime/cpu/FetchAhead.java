package dev.heddle.runtime.cpu;

/**
 * Memory that tiles of a product fetch while they multiply, so that what is packed next lies in a
 * cache when its turn comes: multiplying keeps the processor busy and leaves memory idle, packing
 * does the reverse. Memory is handed out in pieces, each for {@link #tiles} tiles, in which every
 * step along k fetches one line. Mutable and described anew for each part of a product; belongs to
 * one thread.
 */
final class FetchAhead {
  /** Bytes that the processor fetches at once. */
  static final int LINE_BYTES = 64;

  private long next;
  private long step;
  private int pieces;
  private int tiles;

  /** Leaves nothing to fetch. */
  void nothing() {
    pieces = 0;
  }

  /**
   * Rows of a matrix, a column of lines a piece.
   *
   * @param from the first row's first byte
   * @param stride bytes from a row to the next
   * @param bytes of a row
   * @param rowsPerStep rows to each step of the tiles
   */
  void rows(long from, long stride, long bytes, int rowsPerStep) {
    long first = from & -LINE_BYTES;
    next = first;
    step = stride;
    pieces = (int) ((from + bytes - first + LINE_BYTES - 1) / LINE_BYTES);
    tiles = rowsPerStep;
  }

  /** Whether there is a piece left. */
  boolean isLeft() {
    return pieces > 0;
  }

  /** Tiles that a piece takes. */
  int tiles() {
    return tiles;
  }

  /** Where fetching moves with each step along k. */
  long step() {
    return step;
  }

  /** The first line of the next piece, which counts as fetched from now on. */
  long take() {
    long at = next;
    next += LINE_BYTES;
    pieces--;
    return at;
  }
}
