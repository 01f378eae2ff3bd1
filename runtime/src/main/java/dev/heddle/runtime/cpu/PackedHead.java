package dev.heddle.runtime.cpu;

import dev.heddle.runtime.memory.MemoryPool;

/**
 * The bf16 vectors of one head as the second operand of products by machine code: packed once for a
 * head, multiplied by one block of rows after the other. Mutable and described anew for every call;
 * what it packs lies in a thread's own scratch.
 */
final class PackedHead {
  private boolean alongRows;
  private int panelVectors;
  private int columns;
  private int depth;
  private long offset;
  private long panelBytes;

  /**
   * Vectors that are columns: of keys in scores, for example. Their length is the depth.
   *
   * @param newOffset where they go in a thread's scratch
   * @return the offset behind them
   */
  long describeColumns(int vectors, int size, long newOffset) {
    alongRows = true;
    panelVectors = TileCode.VECTORS;
    return describe(vectors, size, newOffset);
  }

  /** Vectors that are rows, of values for example: their number is the depth. */
  long describeRows(int vectors, int size, long newOffset) {
    alongRows = false;
    boolean fourVectors = (size + TileCode.LANES - 1) / TileCode.LANES == 4;
    panelVectors = fourVectors ? TileCode.NARROW_VECTORS : TileCode.VECTORS;
    return describe(size, vectors, newOffset);
  }

  private long describe(int newColumns, int newDepth, long newOffset) {
    columns = newColumns;
    depth = newDepth;
    offset = newOffset;
    long words = WordPacking.words(true, depth);
    panelBytes = words * panelVectors * Lanes.BYTES;
    long panels = (columns + panelColumns() - 1) / panelColumns();
    return AttentionBlocks.roundUp(offset + panels * panelBytes, MemoryPool.ALIGNMENT);
  }

  private int panelColumns() {
    return panelVectors * TileCode.LANES;
  }

  private TileKernels code(TileKernels wide) {
    return panelVectors == TileCode.VECTORS ? wide : wide.narrow();
  }

  /** Packs the vectors of a head. */
  void pack(HeadRows vectors, long batch, long head, long own) {
    long from = vectors.at(batch, 0, head);
    if (alongRows) {
      WordPacking.alongRows(
          true, from, vectors.rowBytes, columns, depth, panelVectors, own + offset);
    } else {
      WordPacking.acrossRows(
          true, from, vectors.rowBytes, columns, depth, panelVectors, own + offset);
    }
  }

  /**
   * c = a b, or c += a b, for a part of these vectors.
   *
   * @param a bf16 rows, as they lie
   * @param firstColumn a multiple of {@link TileKernels#COLUMNS}, 0 for vectors that are rows
   * @param lastColumn the first one that is not multiplied
   * @param firstDepth the vector or element that a begins with; even
   * @param depths values of a row of a; an odd last one is followed by 0
   * @param c the element of the first column
   * @param zeros as many F32 zeros as a panel has columns; 0 to add to c, which is F32 then
   */
  void multiply(
      TileKernels code,
      long own,
      long a,
      long aStride,
      int rows,
      int firstColumn,
      int lastColumn,
      int firstDepth,
      int depths,
      long c,
      long cStride,
      int resultBytes,
      long zeros) {
    long words = WordPacking.words(true, depths);
    for (int column = firstColumn; column < lastColumn; column += panelColumns()) {
      long to = c + (long) (column - firstColumn) * resultBytes;
      MachineBlocks.lying(
          code(code),
          a,
          aStride,
          words,
          panel(own, column, firstDepth),
          to,
          cStride,
          zeros == 0 ? to : zeros,
          zeros == 0 ? cStride : 0,
          rows,
          Math.min(panelColumns(), lastColumn - column),
          false);
    }
  }

  /** c += a b in F32 for all columns, with a packed. */
  void addPacked(
      TileKernels code,
      long own,
      long a,
      int rows,
      int firstDepth,
      int depths,
      long c,
      long cStride) {
    long words = WordPacking.words(true, depths);
    for (int column = 0; column < columns; column += panelColumns()) {
      long to = c + (long) Float.BYTES * column;
      MachineBlocks.packed(
          code(code),
          a,
          words,
          panel(own, column, firstDepth),
          to,
          cStride,
          to,
          cStride,
          rows,
          Math.min(panelColumns(), columns - column),
          null);
    }
  }

  private long panel(long own, int column, int firstDepth) {
    long columnBytes = (long) panelVectors * Lanes.BYTES;
    return own + offset + column / panelColumns() * panelBytes + firstDepth / 2 * columnBytes;
  }
}
