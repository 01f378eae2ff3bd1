package dev.heddle.simulated.ptx;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;

/**
 * Gives the shared and local variables that a kernel uses their offsets, in the order of their
 * first use. Extern shared memory follows all other shared variables.
 */
final class PtxLayout {
  private final IdentityHashMap<PtxVariable, PtxVariable> shared = new IdentityHashMap<>();
  private final List<PtxVariable> external = new ArrayList<>();
  private long sharedBytes;
  private long localBytes;

  /** Where this use of a local variable is; every call has its own. */
  PtxVariable placeLocal(PtxVariable variable) {
    localBytes = aligned(localBytes, variable.alignment());
    PtxVariable placed = variable.as(PtxVariable.Space.LOCAL).placedAt(localBytes);
    localBytes += variable.byteSize();
    return placed;
  }

  /** Makes room for a shared variable. */
  void addShared(PtxVariable variable) {
    if (shared.containsKey(variable)) {
      return;
    }
    if (variable.byteSize() == 0) {
      external.add(variable);
      shared.put(variable, variable);
      return;
    }
    sharedBytes = aligned(sharedBytes, variable.alignment());
    shared.put(variable, variable.placedAt(sharedBytes));
    sharedBytes += variable.byteSize();
  }

  /** No more shared variables: dynamic memory begins here. */
  void finishShared() {
    for (PtxVariable variable : external) {
      sharedBytes = aligned(sharedBytes, variable.alignment());
    }
    external.forEach(variable -> shared.put(variable, variable.placedAt(sharedBytes)));
  }

  /** Where a shared variable is. */
  PtxVariable placedShared(PtxVariable variable) {
    PtxVariable placed = shared.get(variable);
    if (placed == null) {
      throw new IllegalStateException("shared variable " + variable.name() + " was not placed");
    }
    return placed;
  }

  int sharedBytes() {
    return Math.toIntExact(sharedBytes);
  }

  int localBytes() {
    return Math.toIntExact(localBytes);
  }

  static long aligned(long offset, int alignment) {
    return (offset + alignment - 1) / alignment * alignment;
  }
}
