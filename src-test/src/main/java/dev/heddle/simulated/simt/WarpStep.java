package dev.heddle.simulated.simt;

/** A step that all lanes of its member mask execute together. */
abstract class WarpStep extends Step {
  private static final int ALL_LANES_ROW = -1;

  private final int membersRow;

  /**
   * A step.
   *
   * @param membersRow where the row of the member mask begins, or -1 if all lanes are members
   */
  WarpStep(int membersRow) {
    this.membersRow = membersRow;
    this.kind = Kind.WARP;
  }

  /** The member mask that a lane gives. */
  final int members(Warp warp, int lane) {
    return membersRow == ALL_LANES_ROW ? ALL : warp.narrow[membersRow + lane];
  }
}
