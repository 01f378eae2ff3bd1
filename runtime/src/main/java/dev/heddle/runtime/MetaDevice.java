package dev.heddle.runtime;

import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.MemorySegment;

/**
 * A device of shapes without bytes: programs run on it to be planned, counted and checked, whatever
 * their size. Its kernels check shapes and compute nothing; its pool counts bytes and holds none.
 */
public final class MetaDevice implements Device {
  private final MemoryPool memory;
  private final Kernels kernels = new MetaKernels();

  private MetaDevice() {
    memory =
        new MemoryPool(
            "meta",
            new MemoryPool.Source() {
              @Override
              public MemorySegment allocate(long byteSize) {
                return MemorySegment.NULL;
              }

              @Override
              public void close() {}
            });
  }

  /** A new meta device with its own count of bytes. */
  public static MetaDevice open() {
    return new MetaDevice();
  }

  @Override
  public String name() {
    return "meta";
  }

  @Override
  public Kernels kernels(DType dtype) {
    return kernels;
  }

  @Override
  public MemoryPool memory() {
    return memory;
  }

  @Override
  public boolean hasBytes() {
    return false;
  }

  @Override
  public void copyFromHost(MemorySegment source, Block destination, long offset) {}

  @Override
  public void copyToHost(Block source, long offset, MemorySegment destination) {
    throw new UnsupportedOperationException("MetaDevice: there are no values to read");
  }

  @Override
  public void synchronize() {}

  @Override
  public void close() {
    memory.close();
  }
}
