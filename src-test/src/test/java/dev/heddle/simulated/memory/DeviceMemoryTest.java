package dev.heddle.simulated.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class DeviceMemoryTest {
  private final DeviceMemory memory = new DeviceMemory(1, 1L << 20);

  @AfterEach
  void close() {
    memory.close();
  }

  private static void assertFault(Kind kind, String part, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            SimulatedFault.class, fault -> assertThat(fault.kind()).isEqualTo(kind))
        .hasMessageContaining(part);
  }

  @Test
  void allocate_alignsPoisonsAndKeepsApart() {
    long first = memory.allocate(100);
    long second = memory.allocate(4);
    assertThat(first % 512).isZero();
    assertThat(second % 512).isZero();
    assertThat(second - first).isGreaterThanOrEqualTo(512 + 100);
    assertThat(DeviceMemory.deviceOf(first)).isEqualTo(1);
    assertThat(memory.at(second, 4, "test").get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0)).isNaN();
    assertThat(memory.freeBytes()).isEqualTo((1L << 20) - 104);
  }

  @Test
  void deviceOf_isMinusOneForOthersAddresses() {
    assertThat(DeviceMemory.deviceOf(0)).isEqualTo(-1);
    assertThat(DeviceMemory.deviceOf(-1)).isEqualTo(-1);
    assertThat(DeviceMemory.deviceOf(0x7000_0000_0000L)).isZero();
    assertThat(DeviceMemory.deviceOf(0x7000_0000_0000L - 1)).isEqualTo(-1);
    assertThat(DeviceMemory.deviceOf(0x7020_0000_0000L)).isEqualTo(2);
  }

  @Test
  void at_givesTheSameBytesAgain() {
    long address = memory.allocate(64);
    memory.at(address + 8, 8, "test").set(ValueLayout.JAVA_LONG_UNALIGNED, 0, 77);
    MemorySegment all = memory.at(address, 64, "test");
    assertThat(all.get(ValueLayout.JAVA_LONG_UNALIGNED, 8)).isEqualTo(77);
    assertThat(memory.at(address + 63, 1, "test").byteSize()).isEqualTo(1);
  }

  @Test
  void at_namesTheNearestAllocation() {
    long address = memory.allocate(64);
    assertFault(
        Kind.ILLEGAL_ADDRESS, "runs 4 bytes over the end", () -> memory.at(address + 60, 8, "a"));
    assertFault(
        Kind.ILLEGAL_ADDRESS, "6 bytes after the end of", () -> memory.at(address + 70, 4, "a"));
    assertFault(Kind.ILLEGAL_ADDRESS, "copy of x", () -> memory.at(address - 1, 4, "copy of x"));
    assertFault(Kind.ILLEGAL_ADDRESS, "not an address of device 1", () -> memory.at(12, 4, "a"));
  }

  @Test
  void free_endsAnAllocationOnce() {
    long address = memory.allocate(64);
    memory.free(address);
    assertFault(Kind.ILLEGAL_ADDRESS, "was freed", () -> memory.at(address + 4, 4, "a"));
    assertFault(Kind.INVALID_FREE, "was freed", () -> memory.free(address));
    long other = memory.allocate(64);
    assertThat(other).isNotEqualTo(address);
    assertFault(Kind.INVALID_FREE, "inside the allocation", () -> memory.free(other + 8));
  }

  @Test
  void allocate_refusesMoreThanThereIs() {
    long address = memory.allocate(1L << 20);
    assertFault(Kind.OUT_OF_MEMORY, "0 of 1048576 free", () -> memory.allocate(1));
    memory.free(address);
    assertThat(memory.freeBytes()).isEqualTo(1L << 20);
  }

  @Test
  void allocate_usesGapsOnlyWhenAddressesRunOut() {
    try (DeviceMemory small = new DeviceMemory(0, 1L << 36, 8 * 1024)) {
      long first = small.allocate(512);
      long second = small.allocate(512);
      long third = small.allocate(512);
      small.free(second);
      long afterThird = small.allocate(4 * 1024);
      assertThat(afterThird).isGreaterThan(third);
      assertThat(small.allocate(512)).isEqualTo(second);
      assertFault(Kind.OUT_OF_MEMORY, "no gap of 1024 bytes", () -> small.allocate(1024));
      small.free(first);
      assertThat(small.allocate(512)).isEqualTo(first);
    }
  }
}
