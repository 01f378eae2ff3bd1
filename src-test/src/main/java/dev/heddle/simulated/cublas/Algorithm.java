package dev.heddle.simulated.cublas;

/**
 * What an algorithm that the heuristic gave out may be used for.
 *
 * @param form the product's types, sizes, leading dimensions and epilogue
 * @param alignmentA bytes that the address of A must be divisible by; so on for the others
 * @param workspaceBytes what it needs
 */
record Algorithm(
    Form form, long alignmentA, long alignmentB, long alignmentD, long workspaceBytes) {

  /** A product without its addresses. */
  record Form(
      int computeType,
      int transposeA,
      int transposeB,
      int epilogue,
      LayoutForm a,
      LayoutForm b,
      LayoutForm d) {}

  /** A layout's values. */
  record LayoutForm(int type, long rows, long columns, long leading) {}
}
