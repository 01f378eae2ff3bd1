package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import java.lang.foreign.ValueLayout;

/**
 * Copies matrices into the panels that {@link TileKernels} read: a row of whole vectors for each
 * step along k. A step is a word of 4 bytes, one F32 value or a pair of bf16 values of neighbouring
 * k. What lies beyond the last column is not written: sums of it are never stored.
 */
final class WordPacking {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  private WordPacking() {}

  /** Words along k of {@code depth} values. */
  static long words(boolean pairs, long depth) {
    return pairs ? (depth + 1) / 2 : depth;
  }

  /**
   * Panels of a matrix whose memory rows run along k: those of a B that is used transposed, and of
   * an A as it is.
   *
   * @param pairs whether it is bf16; else F32
   * @param from the first column's first value
   * @param rowStride bytes from the row of a column to the next
   * @param depth values along k
   * @param vectors vectors of a panel's row
   * @param panels where they go, one after the other
   */
  static void alongRows(
      boolean pairs, long from, long rowStride, int columns, int depth, int vectors, long panels) {
    int words = (int) words(pairs, depth);
    int wholeWords = pairs ? depth / 2 : depth;
    int steps = wholeWords & -Lanes.LENGTH;
    int width = vectors * Lanes.LENGTH;
    int step = vectors * Lanes.BYTES;
    for (int column = 0; column < columns; column += Lanes.LENGTH) {
      int count = Math.min(Lanes.LENGTH, columns - column);
      long source = from + column * rowStride;
      long target = panels + (long) (column / width) * words * step + column % width * 4L;
      int done = 0;
      if (count == Lanes.LENGTH && steps > 0) {
        WordTranspose.run(source, rowStride, steps, target, step);
        done = steps;
      }
      for (int four = 0; four < count; four += 4) {
        Packing.interleave(
            source + four * rowStride + 4L * done,
            rowStride,
            count - four,
            wholeWords - done,
            target + 4L * four + (long) done * step,
            step);
      }
      if (wholeWords < words) {
        for (int i = 0; i < count; i++) {
          halfWord(
              source + i * rowStride + 4L * wholeWords, target + 4L * i + (long) wholeWords * step);
        }
      }
    }
  }

  /**
   * Panels of a matrix whose memory rows run across k: those of a B as it is, and of an A that is
   * used transposed.
   *
   * @param pairs whether it is bf16; else F32
   * @param from the first column's first value
   * @param rowStride bytes from the row of a k to the next
   * @param vectors vectors of a panel's row
   * @param panels where they go, one after the other
   */
  static void acrossRows(
      boolean pairs, long from, long rowStride, int columns, int depth, int vectors, long panels) {
    acrossRows(pairs, from, rowStride, columns, depth, vectors, panels, 0);
  }

  /**
   * The same of bf16 in panels of one vector, which adds up columns meanwhile.
   *
   * @param sums address of one F32 value a column, to which the column's values are added in an
   *     order that depends on {@code depth} and the column alone; 0 for none
   */
  static void acrossRows(
      boolean pairs,
      long from,
      long rowStride,
      int columns,
      int depth,
      int vectors,
      long panels,
      long sums) {
    int words = (int) words(pairs, depth);
    long panelStep = (long) vectors * Lanes.BYTES;
    long panelBytes = panelStep * words;
    int width = vectors * Lanes.LENGTH;
    long valueBytes = pairs ? Short.BYTES : Float.BYTES;
    int whole = columns / width;
    int wholeWords = pairs ? depth / 2 : depth;
    for (int first = 0; first < whole && wholeWords > 0; first += PanelCode.PANELS) {
      PanelCode.run(
          pairs,
          from + first * width * valueBytes,
          rowStride,
          Math.min(PanelCode.PANELS, whole - first),
          vectors,
          wholeWords,
          panels + first * panelBytes,
          panelBytes,
          sums == 0 ? 0 : sums + (long) first * width * Float.BYTES);
    }
    int rest = columns - whole * width;
    if (rest > 0) {
      long source = from + whole * width * valueBytes;
      narrowPanel(
          pairs, source, rowStride, rest, wholeWords, panelStep, panels + whole * panelBytes);
    }
    if (wholeWords < words) {
      long source = from + (depth - 1) * rowStride;
      for (int column = 0; column < columns; column++) {
        long to = panels + column / width * panelBytes + wholeWords * panelStep;
        halfWord(source + 2L * column, to + column % width * 4L);
      }
    }
    if (sums != 0) {
      addColumns(from, rowStride, whole * width, columns, 0, depth, sums);
      addColumns(from, rowStride, 0, whole * width, 2 * wholeWords, depth, sums);
    }
  }

  /** Adds a part of a bf16 matrix to the sums of its columns: what no whole panel has. */
  private static void addColumns(
      long from, long rowStride, int column, int endColumn, int row, int endRow, long sums) {
    for (int j = column; j < endColumn; j++) {
      float sum = 0;
      for (int i = row; i < endRow; i++) {
        sum += Bf16Conversion.get(from + i * rowStride + 2L * j);
      }
      Lanes.set(sums + 4L * j, Lanes.get(sums + 4L * j) + sum);
    }
  }

  /** The last panel, of fewer columns than it has room for. */
  private static void narrowPanel(
      boolean pairs, long from, long rowStride, int columns, int words, long panelStep, long to) {
    if (pairs) {
      for (int word = 0; word < words; word++) {
        long even = from + 2 * word * rowStride;
        long odd = even + rowStride;
        long out = to + word * panelStep;
        int column = 0;
        for (; column <= columns - Lanes.LENGTH; column += Lanes.LENGTH) {
          long at = address(even + 2L * column);
          store(Bf16Conversion.pairs(at, address(odd + 2L * column)), address(out + 4L * column));
        }
        for (; column < columns; column++) {
          int low = Lanes.MEMORY.get(SHORT, even + 2L * column) & 0xffff;
          int high = Lanes.MEMORY.get(SHORT, odd + 2L * column) << 16;
          Lanes.MEMORY.set(INT, out + 4L * column, low | high);
        }
      }
      return;
    }
    int whole = columns & -Lanes.LENGTH;
    for (int word = 0; word < words; word++) {
      long at = address(from + word * rowStride);
      long out = address(to + word * panelStep);
      for (int column = 0; column < whole; column += Lanes.LENGTH) {
        store(load(at + 4L * column), out + 4L * column);
      }
      // Not by a mask: until C2 compiles this, each such load would make objects.
      for (int column = whole; column < columns; column++) {
        Lanes.MEMORY.set(INT, out + 4L * column, Lanes.MEMORY.get(INT, at + 4L * column));
      }
    }
  }

  /** The last of an odd number of bf16 values: its pair is completed by 0. */
  private static void halfWord(long from, long to) {
    Lanes.MEMORY.set(INT, to, Lanes.MEMORY.get(SHORT, from) & 0xffff);
  }
}
