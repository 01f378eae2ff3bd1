package dev.heddle.jmh.boundary;

import dev.heddle.parallel.redistribute.PlanBuffer;
import dev.heddle.parallel.redistribute.Transfer;
import dev.heddle.parallel.redistribute.TransferPlan;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A plain copy out of a rank's rows.
 *
 * @param from the rank whose rows are read
 * @param start the first byte of them that is read
 * @param bytes how many
 */
record CopyBetween(int from, long start, long bytes) {
  /**
   * What {@code rank} copies where each byte comes from the rank that it comes from in the plan,
   * those of one rank in one run. Runs that one rank gives to several lie apart where they are of
   * different rows, as the rows themselves do: a line that two cores take costs more than two.
   */
  static List<CopyBetween> of(TransferPlan plan, int rank) {
    Map<Integer, Long> given = new HashMap<>();
    List<CopyBetween> copies = new ArrayList<>();
    for (Transfer transfer : plan.phases().getFirst().transfers()) {
      int from = transfer.from();
      long held = Volume.bytes(plan.buffer(PlanBuffer.INPUT).find(from));
      long bytes = transfer.elements() * Float.BYTES;
      long behind = given.getOrDefault(from, 0L);
      long start = behind + bytes <= held ? behind : 0;
      given.put(from, start + bytes);
      if (transfer.to() == rank) {
        copies.add(new CopyBetween(from, start, bytes));
      }
    }
    return copies;
  }
}
