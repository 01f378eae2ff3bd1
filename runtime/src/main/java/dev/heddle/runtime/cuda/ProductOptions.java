package dev.heddle.runtime.cuda;

/**
 * How matrix products are computed, where a user may choose.
 *
 * @param tf32 F32 products on tensor cores, their inputs rounded to TF32 (10 fraction bits): about
 *     eight times as fast on data-centre GPUs, with errors of about 1e-3 instead of 1e-6
 * @param activationEpilogues RELU, and GELU in BF16, within the product of {@code linear}: saves a
 *     pass over its output, but the library's GELU is the tanh approximation (up to 5e-4 from the
 *     exact function that {@code UnaryOperation.GELU} is), and what its RELU makes of NaN is not
 *     documented
 * @param workspaceBytes device memory that each stream's products may use as scratch; at least
 *     {@value #SMALLEST_WORKSPACE}
 */
public record ProductOptions(boolean tf32, boolean activationEpilogues, long workspaceBytes) {
  /** System property for {@link #tf32}: {@code true} or {@code false}, the default. */
  public static final String TF32_PROPERTY = "heddle.cuda.tf32";

  /** System property for {@link #activationEpilogues}: {@code true} or {@code false}. */
  public static final String EPILOGUES_PROPERTY = "heddle.cuda.activation-epilogues";

  /** System property for {@link #workspaceBytes}, in MiB. */
  public static final String WORKSPACE_PROPERTY = "heddle.cuda.workspace-mib";

  /** A workspace smaller than this keeps the libraries from their usual algorithms. */
  public static final long SMALLEST_WORKSPACE = 1L << 20;

  /** What NVIDIA advises for Hopper, and more than older GPUs use. */
  private static final long USUAL_WORKSPACE = 32L << 20;

  /** Refuses a workspace that is too small. */
  public ProductOptions {
    if (workspaceBytes < SMALLEST_WORKSPACE) {
      throw new IllegalArgumentException(
          "ProductOptions: a workspace of "
              + workspaceBytes
              + " bytes; wanted at least "
              + SMALLEST_WORKSPACE);
    }
  }

  /** Exact products with the usual workspace. */
  public static ProductOptions exact() {
    return new ProductOptions(false, false, USUAL_WORKSPACE);
  }

  /**
   * What the system properties say, {@link #exact()} where they say nothing.
   *
   * @throws IllegalArgumentException naming the property whose value means nothing
   */
  public static ProductOptions ofSystemProperties() {
    return new ProductOptions(flag(TF32_PROPERTY), flag(EPILOGUES_PROPERTY), workspace());
  }

  private static boolean flag(String property) {
    String value = System.getProperty(property, "false").strip();
    if (!value.equals("true") && !value.equals("false")) {
      throw new IllegalArgumentException(
          "system property " + property + " is '" + value + "'; wanted true or false");
    }
    return value.equals("true");
  }

  private static long workspace() {
    String value = System.getProperty(WORKSPACE_PROPERTY);
    if (value == null) {
      return USUAL_WORKSPACE;
    }
    try {
      int mebibytes = Integer.parseInt(value.strip());
      if (mebibytes >= 1) {
        return (long) mebibytes << 20;
      }
    } catch (NumberFormatException notANumber) {
      // Said below, with the numbers that are too small.
    }
    throw new IllegalArgumentException(
        "system property "
            + WORKSPACE_PROPERTY
            + " is '"
            + value
            + "'; wanted a whole number of MiB, 1 or more");
  }
}
