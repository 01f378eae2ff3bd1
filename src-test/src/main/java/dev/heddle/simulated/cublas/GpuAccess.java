package dev.heddle.simulated.cublas;

import dev.heddle.simulated.memory.DeviceMemory;
import java.lang.foreign.MemorySegment;

/** What the simulated library needs of the simulated GPUs: their memory and their streams. */
public interface GpuAccess {
  /**
   * Live bytes of a GPU.
   *
   * @param what what they are wanted for, for the fault
   * @throws RuntimeException a fault, if they are not all live and in one allocation
   */
  MemorySegment at(long address, long byteSize, String what);

  /** Runs {@code work} when the stream gets to it. */
  void enqueue(long stream, String what, Runnable work);

  /** One GPU's memory, with streams that do everything at once. */
  static GpuAccess immediate(DeviceMemory memory) {
    return new GpuAccess() {
      @Override
      public MemorySegment at(long address, long byteSize, String what) {
        return memory.at(address, byteSize, what);
      }

      @Override
      public void enqueue(long stream, String what, Runnable work) {
        work.run();
      }
    };
  }
}
