package dev.heddle.runtime.cuda;

/**
 * What decides which algorithm computes a cuBLASLt product: types, sizes, leading dimensions,
 * epilogue, and how the pointers are aligned. Column-major: D [m,n] = op(A) [m,k] op(B) [k,n].
 *
 * <p>The key of {@link MatmulPlans}. Mutable, so that looking up a product makes no garbage; the
 * copies that are kept there do not change any more.
 */
final class MatmulForm {
  /** More alignment than this is of no use to any algorithm. */
  private static final long MOST_ALIGNMENT = 256;

  /** The same for what an epilogue reads and writes beside the operands: one vector access. */
  private static final long MOST_ALIGNMENT_BESIDE = 16;

  int type;
  int computeType;
  int scaleType;
  int epilogue;
  int transposeA;
  int transposeB;
  long m;
  long n;
  long k;
  long lda;
  long ldb;
  long ldd;
  int alignmentA;
  int alignmentB;
  int alignmentD;

  /** Alignment of the bias, and of the auxiliary matrix; 0 where the epilogue has none. */
  int alignmentBias;

  int alignmentAuxiliary;

  MatmulForm copy() {
    MatmulForm copy = new MatmulForm();
    copy.type = type;
    copy.computeType = computeType;
    copy.scaleType = scaleType;
    copy.epilogue = epilogue;
    copy.transposeA = transposeA;
    copy.transposeB = transposeB;
    copy.m = m;
    copy.n = n;
    copy.k = k;
    copy.lda = lda;
    copy.ldb = ldb;
    copy.ldd = ldd;
    copy.alignmentA = alignmentA;
    copy.alignmentB = alignmentB;
    copy.alignmentD = alignmentD;
    copy.alignmentBias = alignmentBias;
    copy.alignmentAuxiliary = alignmentAuxiliary;
    return copy;
  }

  /** The largest power of two, at most 256, that divides an operand's address. */
  static int alignment(long address) {
    return (int) Math.min(MOST_ALIGNMENT, Long.lowestOneBit(address));
  }

  /** That of a bias or auxiliary matrix, at most 16; 0 for none. */
  static int alignmentBeside(long address) {
    return (int) Math.min(MOST_ALIGNMENT_BESIDE, Long.lowestOneBit(address));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof MatmulForm that
        && type == that.type
        && computeType == that.computeType
        && scaleType == that.scaleType
        && epilogue == that.epilogue
        && transposeA == that.transposeA
        && transposeB == that.transposeB
        && m == that.m
        && n == that.n
        && k == that.k
        && lda == that.lda
        && ldb == that.ldb
        && ldd == that.ldd
        && alignmentA == that.alignmentA
        && alignmentB == that.alignmentB
        && alignmentD == that.alignmentD
        && alignmentBias == that.alignmentBias
        && alignmentAuxiliary == that.alignmentAuxiliary;
  }

  @Override
  public int hashCode() {
    long hash = type * 31L + epilogue;
    hash = hash * 31 + computeType;
    hash = hash * 31 + (transposeA * 2L + transposeB);
    hash = hash * 31 + m;
    hash = hash * 31 + n;
    hash = hash * 31 + k;
    hash = hash * 31 + lda;
    hash = hash * 31 + ldb;
    hash = hash * 31 + ldd;
    hash = hash * 31 + (alignmentA + 3L * alignmentB + 5L * alignmentD);
    hash = hash * 31 + (alignmentBias + 3L * alignmentAuxiliary);
    return Long.hashCode(hash * 0x9E3779B97F4A7C15L);
  }

  @Override
  public String toString() {
    return String.format(
        "transa %d, transb %d, m %d, n %d, k %d, lda %d, ldb %d, ldd %d, epilogue %d, type %d,"
            + " compute type %d, bytes of alignment: A %d, B %d, D %d, bias %d, auxiliary %d",
        transposeA,
        transposeB,
        m,
        n,
        k,
        lda,
        ldb,
        ldd,
        epilogue,
        type,
        computeType,
        alignmentA,
        alignmentB,
        alignmentD,
        alignmentBias,
        alignmentAuxiliary);
  }
}
