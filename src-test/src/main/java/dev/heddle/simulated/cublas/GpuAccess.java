package dev.heddle.simulated.cublas;

import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.memory.DeviceMemory;
import java.lang.foreign.MemorySegment;

/** What the simulated library needs of the simulated GPUs: streams, and memory when they run. */
public interface GpuAccess {
  /** The GPU whose context is current on this thread, -1 if none is. */
  int currentDevice();

  /**
   * Runs {@code work} when the stream gets to it.
   *
   * @param kind which function it is
   * @param what the call with its arguments, for messages
   * @return 0, or the driver's status if the stream cannot take work
   */
  int enqueue(long stream, String kind, String what, Work work);

  /** Work of a stream. */
  @FunctionalInterface
  interface Work {
    /** Does it, on the memory of the stream's GPU. */
    void run(Memory memory);
  }

  /** The memory of a GPU. */
  @FunctionalInterface
  interface Memory {
    /**
     * Live bytes.
     *
     * @param what what they are wanted for, for the fault
     * @throws RuntimeException a fault, if they are not all live and in one allocation
     */
    MemorySegment at(long address, long byteSize, String what);

    /** Says what the work reads and writes, each byte counted once; for counters. */
    default void moves(long bytesRead, long bytesWritten) {}
  }

  /** Memory of a GPU of the simulated driver. */
  record DriverMemory(SimulatedGpus.Memory memory) implements Memory {
    @Override
    public MemorySegment at(long address, long byteSize, String what) {
      return memory.at(address, byteSize, what);
    }

    @Override
    public void moves(long bytesRead, long bytesWritten) {
      memory.moves(bytesRead, bytesWritten);
    }
  }

  /** The GPUs that are installed when a function is called. */
  static GpuAccess installed() {
    return new GpuAccess() {
      @Override
      public int currentDevice() {
        return SimulatedGpus.currentDevice();
      }

      @Override
      public int enqueue(long stream, String kind, String what, Work work) {
        return SimulatedGpus.queue(
            MemorySegment.ofAddress(stream),
            kind,
            what,
            memory -> {
              work.run(new DriverMemory(memory));
              return true;
            });
      }
    };
  }

  /** One GPU's memory, with streams that do everything at once. */
  static GpuAccess immediate(DeviceMemory memory) {
    return new GpuAccess() {
      @Override
      public int currentDevice() {
        return memory.device();
      }

      @Override
      public int enqueue(long stream, String kind, String what, Work work) {
        work.run(memory::at);
        return 0;
      }
    };
  }
}
