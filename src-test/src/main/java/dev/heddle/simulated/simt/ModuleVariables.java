package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxModule;
import dev.heddle.simulated.ptx.PtxVariable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The bytes of a module's variables on one device. */
record ModuleVariables(MemorySegment global, MemorySegment constant) {

  /** As the module's text initialises them; zeros where it says nothing. */
  static ModuleVariables of(PtxModule module) {
    Arena arena = Arena.ofAuto();
    ModuleVariables variables =
        new ModuleVariables(
            arena.allocate(Math.max(1, module.globalBytes()), 64),
            arena.allocate(Math.max(1, module.constBytes()), 64));
    for (PtxVariable variable : module.variables()) {
      MemorySegment target =
          variable.space() == PtxVariable.Space.CONST ? variables.constant : variables.global;
      MemorySegment.copy(
          MemorySegment.ofArray(variable.initial()),
          0,
          target,
          variable.offset(),
          variable.initial().length);
    }
    return variables;
  }
}
