package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;

/**
 * The geometry of one attention call in bf16: its sizes, and how the rows of its scores are cut
 * into blocks that stay in the second-level cache. Mutable and described anew for every call.
 *
 * <p>Where oneDNN multiplies, hidden scores are skipped in whole blocks only: its products take
 * time to start, and each size of one is a primitive that has to be made and kept.
 */
final class Bf16AttentionBlocks extends AttentionSizes {
  /** Multiply-adds of one head's scores below which the F32 loops are faster. */
  private static final long SMALL = 1L << 15;

  /** Rows of a block at least, where there are as many: the library packs the other side again. */
  private static final int MIN_ROWS = 64;

  /** Rows of a block at most, if nothing is hidden. */
  private static final int MAX_ROWS = 256;

  /** The same under a causal mask: smaller blocks skip more. */
  private static final int MAX_CAUSAL_ROWS = 128;

  /** The same for machine code, which packs once a head: smaller still, four tiles. */
  private static final int CODE_CAUSAL_ROWS = 32;

  /** How many different lengths the rows of scores have at most. */
  private static final int LENGTHS = 8;

  /** Whether products of bf16 are faster than the F32 loops. */
  static boolean suits(NDArray q, NDArray k) {
    return q.size() > 0 && q.dim(1) * k.dim(1) * q.dim(3) >= SMALL;
  }

  /** Whether vectors are whole pairs, as machine code reads them. */
  static boolean suitsMachineCode(NDArray q) {
    return q.dim(3) % 2 == 0;
  }

  /** The first query that sees a key; {@link #queries} if none does. */
  int firstQuery(long key) {
    long first = mask.causal() ? mask.keyStart() + key - mask.queryStart() : 0;
    return (int) Math.clamp(first, 0, queries);
  }

  /**
   * Rows of a block of scores, where there are {@code all} rows of at most {@code length}.
   *
   * @param scores how many scores of a block fit the cache
   * @param machineCode whether blocks are multiplied by machine code
   */
  int blockRows(int all, int length, long scores, boolean machineCode) {
    long most = MAX_ROWS;
    if (mask.causal()) {
      most = machineCode ? CODE_CAUSAL_ROWS : MAX_CAUSAL_ROWS;
    }
    long wanted = Math.clamp(scores / Math.max(1, length), Math.min(MIN_ROWS, most), most);
    long blocks = (all + wanted - 1) / wanted;
    long rows = AttentionBlocks.roundUp((all + blocks - 1) / Math.max(1, blocks), Lanes.LENGTH);
    return (int) Math.clamp(rows, 1, Math.max(1, all));
  }

  /** In what steps rows of up to {@code length} scores get longer, for blocks of {@code rows}. */
  static int lengthStep(int length, int rows) {
    return Math.max(rows, (int) AttentionBlocks.roundUp(length / LENGTHS, Lanes.LENGTH));
  }

  /** Elements from a row of {@code length} scores to the next: whole vectors, and an odd line. */
  static long stride(int length) {
    return AttentionBlocks.roundUp(length, 2L * Lanes.LENGTH) + Lanes.LENGTH;
  }

  /**
   * A product of bf16 matrices whose columns (or rows, where one is transposed) are contiguous.
   *
   * @param to type of the result
   * @param aStride elements from a memory row of the first to the next
   */
  static OneDnnMatmul.Form form(
      DType to,
      int rows,
      int columns,
      int depth,
      long aStride,
      boolean transposeA,
      long bStride,
      boolean transposeB,
      long cStride,
      boolean adds) {
    return new OneDnnMatmul.Form(
        DType.BF16,
        to,
        1,
        rows,
        columns,
        depth,
        steps(transposeA ? depth : rows, aStride, transposeA),
        steps(transposeB ? columns : depth, bStride, transposeB),
        steps(rows, cStride, false),
        adds ? OneDnnMatmul.Addend.RESULT : OneDnnMatmul.Addend.NOTHING,
        false);
  }

  private static OneDnnMatmul.Steps steps(int memoryRows, long stride, boolean transposed) {
    long step = Math.max(1, stride);
    return OneDnnMatmul.Steps.of(memoryRows * step, step, transposed);
  }
}
