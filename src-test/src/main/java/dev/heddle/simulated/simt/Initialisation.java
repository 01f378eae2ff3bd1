package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxInstruction;
import dev.heddle.simulated.ptx.PtxKernel;
import dev.heddle.simulated.ptx.PtxRegister;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Finds the reads of registers that some path reaches without a write before. Only those are
 * checked while the kernel runs, and only the writes that they may depend on are tracked.
 */
final class Initialisation {
  private final PtxKernel kernel;
  private final Step[] steps;
  private final List<Set<PtxRegister>> reads;
  private final List<Set<PtxRegister>> writes;

  Initialisation(
      PtxKernel kernel, Step[] steps, List<Set<PtxRegister>> reads, List<Set<PtxRegister>> writes) {
    this.kernel = kernel;
    this.steps = steps;
    this.reads = reads;
    this.writes = writes;
  }

  /** Marks the steps; whether any check is needed. */
  boolean mark() {
    List<PtxInstruction> instructions = kernel.instructions();
    @Nullable BitSet[] before = writtenBefore(instructions);
    BitSet tracked = new BitSet();
    for (int i = 0; i < instructions.size(); i++) {
      BitSet written = before[i];
      if (written == null) {
        continue;
      }
      steps[i].checkedReads =
          reads.get(i).stream()
              .mapToInt(PtxRegister::index)
              .filter(register -> !written.get(register))
              .toArray();
      for (int register : steps[i].checkedReads) {
        tracked.set(register);
      }
      PtxRegister guard = instructions.get(i).guard();
      if (guard != null && !written.get(guard.index())) {
        steps[i].guardChecked = guard.index();
        tracked.set(guard.index());
      }
    }
    for (int i = 0; i < instructions.size(); i++) {
      steps[i].trackedWrites =
          writes.get(i).stream().mapToInt(PtxRegister::index).filter(tracked::get).toArray();
    }
    return !tracked.isEmpty();
  }

  /** For each instruction that can be reached, the registers written on every path to it. */
  private @Nullable BitSet[] writtenBefore(List<PtxInstruction> instructions) {
    @Nullable BitSet[] before = new BitSet[instructions.size() + 1];
    before[0] = new BitSet();
    Deque<Integer> open = new ArrayDeque<>(List.of(0));
    while (!open.isEmpty()) {
      int at = open.pop();
      BitSet here = before[at];
      if (at == instructions.size() || here == null) {
        continue;
      }
      PtxInstruction instruction = instructions.get(at);
      BitSet after = (BitSet) here.clone();
      if (instruction.guard() == null) {
        writes.get(at).forEach(register -> after.set(register.index()));
      }
      boolean goesOn = instruction.guard() != null;
      switch (steps[at]) {
        case Control.Branch branch -> flow(before, open, branch.target(), after);
        case Control.IndexedBranch branch -> {
          for (int target : branch.targets()) {
            flow(before, open, target, after);
          }
        }
        case Control.Exit exit -> {}
        default -> goesOn = true;
      }
      if (goesOn) {
        flow(before, open, at + 1, after);
      }
    }
    return before;
  }

  private static void flow(@Nullable BitSet[] before, Deque<Integer> open, int to, BitSet written) {
    BitSet there = before[to];
    if (there == null) {
      before[to] = (BitSet) written.clone();
      open.push(to);
      return;
    }
    int known = there.cardinality();
    there.and(written);
    if (there.cardinality() != known) {
      open.push(to);
    }
  }
}
