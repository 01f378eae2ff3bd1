package dev.heddle.runtime;

import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.MemorySegment;

/**
 * Where arrays live and kernels run. Each rank has a device of its own: its memory pool, its share
 * of the machine, its kernel tables. The implementations are {@code CpuDevice}, {@link MetaDevice}
 * (shapes without bytes) and the CUDA device.
 */
public interface Device extends AutoCloseable {
  /** What this device is called in messages, such as {@code cpu:0}. */
  String name();

  /**
   * The primitives for arrays of {@code dtype}: resolved once, when the device is opened.
   *
   * @throws IllegalArgumentException if the device cannot compute in that type, naming those it can
   */
  Kernels kernels(DType dtype);

  /** The pool that this device's memory comes from. */
  MemoryPool memory();

  /** Whether arrays have bytes; false on {@link MetaDevice}, where nothing can be read. */
  default boolean hasBytes() {
    return true;
  }

  /**
   * Copies host memory into the block from byte {@code offset} on. When it returns, {@code source}
   * may be reused.
   */
  void copyFromHost(MemorySegment source, Block destination, long offset);

  /**
   * Copies the block's bytes from {@code offset} on to host memory, all earlier work being done.
   */
  void copyToHost(Block source, long offset, MemorySegment destination);

  /**
   * Whether work is only queued and runs later, so that the host waits where it reads a value.
   * Whoever can then leaves values where they are.
   */
  default boolean isAsynchronous() {
    return false;
  }

  /**
   * Starts to copy the block's bytes from {@code offset} on to the host, as they are when the work
   * given so far is done. At most 4 copies of at most 4096 bytes may be under way.
   */
  default HostCopy copyToHostLater(Block source, long offset, long bytes) {
    MemorySegment values = MemorySegment.ofArray(new byte[Math.toIntExact(bytes)]);
    copyToHost(source, offset, values);
    return new HostCopy() {
      @Override
      public boolean isDone() {
        return true;
      }

      @Override
      public MemorySegment await() {
        return values;
      }
    };
  }

  /** Whether {@link #record} works. */
  default boolean canRecord() {
    return false;
  }

  /**
   * Begins to record the work given to this device. Give the same work once before, so that kernels
   * are loaded and the pool holds the memory that it takes.
   *
   * @throws UnsupportedOperationException if this device cannot record
   * @throws IllegalStateException if a recording is open
   */
  default WorkRecorder record() {
    throw new UnsupportedOperationException(name() + " does not record its work");
  }

  /** Waits until all work given to this device is done. */
  void synchronize();

  /**
   * Returns the device's memory and stops its workers.
   *
   * @throws IllegalStateException if arrays are still in use, naming where they were made
   */
  @Override
  void close();
}
