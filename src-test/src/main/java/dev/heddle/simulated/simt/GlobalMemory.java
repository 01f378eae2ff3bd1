package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.Allocation;
import dev.heddle.simulated.memory.DeviceMemory;
import dev.heddle.simulated.memory.SimulatedFault;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a kernel reaches through global addresses: its device's memory, and perhaps others'. */
public interface GlobalMemory {

  /** The live allocation that {@code address} is in, or null. */
  @Nullable Allocation find(long address);

  /** What is known about {@code [address, address + byteSize)}, for a message about it. */
  String describe(long address, long byteSize);

  /**
   * The {@code byteSize} live bytes from {@code address} on.
   *
   * @param what what they are wanted for, named in the fault
   * @throws SimulatedFault if they are not all in one live allocation
   */
  default MemorySegment at(long address, long byteSize, String what) {
    Allocation allocation = find(address);
    if (allocation == null || !allocation.covers(address, byteSize)) {
      throw new SimulatedFault(
          SimulatedFault.Kind.ILLEGAL_ADDRESS,
          "%s: %d bytes at 0x%x: %s"
              .formatted(what, byteSize, address, describe(address, byteSize)));
    }
    return allocation.segment().asSlice(address - allocation.address(), byteSize);
  }

  /** The memories of several devices: those that one of them may access. */
  static GlobalMemory of(DeviceMemory... memories) {
    List<DeviceMemory> all = List.of(memories);
    return new GlobalMemory() {
      @Override
      public @Nullable Allocation find(long address) {
        DeviceMemory memory = memoryOf(address);
        return memory == null ? null : memory.find(address);
      }

      @Override
      public String describe(long address, long byteSize) {
        DeviceMemory memory = memoryOf(address);
        if (memory != null) {
          return memory.describe(address, byteSize);
        }
        int device = DeviceMemory.deviceOf(address);
        return device < 0
            ? "no address of a device; host memory cannot be reached"
            : "an address of device " + device + ", which this one has no access to";
      }

      private @Nullable DeviceMemory memoryOf(long address) {
        int device = DeviceMemory.deviceOf(address);
        for (DeviceMemory memory : all) {
          if (memory.device() == device) {
            return memory;
          }
        }
        return null;
      }
    };
  }
}
