package dev.heddle.runtime.cuda;

import dev.heddle.simulated.cublas.GpuAccess;
import dev.heddle.simulated.cublas.SimulatedCublas;
import java.lang.foreign.SymbolLookup;

class SimulatedCublasContractTest extends CublasDescriptorContract {
  private final SimulatedCublas library = new SimulatedCublas(GpuAccess.installed());

  @Override
  SymbolLookup symbols() {
    return library;
  }
}
