package dev.heddle.bindings;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.Optional;

/** Finds the native libraries that the generated bindings call. */
public enum NativeLibrary implements SymbolLookup {
  CUDA,
  CUBLAS,
  NCCL,
  MPI,
  ONEDNN;

  @Override
  public Optional<MemorySegment> find(String name) {
    return Optional.empty();
  }
}
