package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault;

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

  /** The member mask that the lanes {@code here} all have to give. */
  final int members(Warp warp, int here) {
    if (membersRow == ALL_LANES_ROW) {
      return ALL;
    }
    int first = warp.narrow[membersRow + Integer.numberOfTrailingZeros(here)];
    for (int rest = here; rest != 0; rest &= rest - 1) {
      int lane = Integer.numberOfTrailingZeros(rest);
      if (warp.narrow[membersRow + lane] != first) {
        throw warp.fault(
            SimulatedFault.Kind.WARP_DIVERGENCE,
            1 << lane,
            "gives member mask 0x%08x where another thread gives 0x%08x"
                .formatted(warp.narrow[membersRow + lane], first));
      }
    }
    return first;
  }
}
