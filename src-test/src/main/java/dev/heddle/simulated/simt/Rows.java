package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxKernel;
import dev.heddle.simulated.ptx.PtxRegister;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where a warp keeps a kernel's registers. Every register of up to 32 bits has a row of 32 {@code
 * int}s, every one of 64 bits a row of 32 {@code long}s, and every predicate an {@code int}.
 * Constants and special registers have rows too, so that all operands are read alike. A row is
 * named by where it begins.
 */
final class Rows {
  private static final int LANES = Step.LANES;

  private final int[] places;
  private final Map<Integer, Integer> narrowConstants = new LinkedHashMap<>();
  private final Map<Long, Integer> wideConstants = new LinkedHashMap<>();
  private final Map<SpecialRegister, Integer> specials = new LinkedHashMap<>();
  private final List<Integer> scratch = new ArrayList<>();
  private int narrowRows;
  private int wideRows;
  private int predicates = 1;

  Rows(PtxKernel kernel) {
    places = new int[kernel.registers().size()];
    for (PtxRegister register : kernel.registers()) {
      if (register.isPredicate()) {
        places[register.index()] = predicates++;
      } else if (register.isWide()) {
        places[register.index()] = newWide();
      } else {
        places[register.index()] = newNarrow();
      }
    }
  }

  private int newNarrow() {
    return narrowRows++ * LANES;
  }

  private int newWide() {
    return wideRows++ * LANES;
  }

  /** The row of a register, or the number of a predicate; predicate 0 is nobody's. */
  int place(PtxRegister register) {
    return places[register.index()];
  }

  int narrowConstant(int value) {
    return narrowConstants.computeIfAbsent(value, each -> newNarrow());
  }

  int wideConstant(long value) {
    return wideConstants.computeIfAbsent(value, each -> newWide());
  }

  int special(SpecialRegister register) {
    return specials.computeIfAbsent(register, each -> newNarrow());
  }

  /** A row for a narrow result that nobody reads. */
  int narrowSink() {
    if (scratch.isEmpty()) {
      scratch.add(newNarrow());
      scratch.add(newWide());
    }
    return scratch.get(0);
  }

  /** A row for a wide result that nobody reads. */
  int wideSink() {
    narrowSink();
    return scratch.get(1);
  }

  int narrowRows() {
    return narrowRows;
  }

  int wideRows() {
    return wideRows;
  }

  int predicates() {
    return predicates;
  }

  void fillConstants(Warp warp) {
    narrowConstants.forEach((value, row) -> Arrays.fill(warp.narrow, row, row + LANES, value));
    wideConstants.forEach((value, row) -> Arrays.fill(warp.wide, row, row + LANES, value));
  }

  void fillSpecials(Warp warp) {
    specials.forEach(
        (register, row) -> {
          for (int lane = 0; lane < LANES; lane++) {
            warp.narrow[row + lane] = register.value(warp, lane);
          }
        });
  }
}
