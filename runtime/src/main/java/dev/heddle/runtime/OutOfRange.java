package dev.heddle.runtime;

/**
 * What kernels throw for numbers that they read and cannot use, in the same words on every backend;
 * {@link KernelChecks} refuses what can be seen without looking at values.
 */
public final class OutOfRange {
  private OutOfRange() {}

  /** What {@link Kernels#crossEntropy} throws for a target that is no class. */
  public static IndexOutOfBoundsException target(long row, long target, long classes) {
    return new IndexOutOfBoundsException(
        "crossEntropy: target "
            + target
            + " of row "
            + row
            + "; wanted less than "
            + classes
            + ", the classes in all, or a negative one to ignore the row");
  }

  /** What {@link Kernels#localRows} throws for a row that is in no part. */
  public static IndexOutOfBoundsException wholeRow(long entry, long row, long all) {
    return new IndexOutOfBoundsException(
        "localRows: row id "
            + row
            + " at "
            + entry
            + "; wanted less than "
            + all
            + ", the rows of all parts, or a negative one to skip it");
  }

  /**
   * The error for a row number that is too large.
   *
   * @param entry which entry of {@code rows} it is
   * @param argument the name of the array that it selects from
   */
  public static IndexOutOfBoundsException row(
      String kernel, long entry, long row, String argument, long rowCount) {
    return new IndexOutOfBoundsException(
        kernel
            + ": rows["
            + entry
            + "] is "
            + row
            + ", but "
            + argument
            + " has "
            + rowCount
            + " rows; wanted a row below that, or a negative one to skip it");
  }
}
