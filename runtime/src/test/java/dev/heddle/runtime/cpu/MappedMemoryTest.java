package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

class MappedMemoryTest {
  private static final long MIB = 1L << 20;

  @Test
  void allocate_blocksOfAllSizes_alignedApartAndWritableToTheLastByte() {
    MappedMemory memory = new MappedMemory();
    long[] sizes = {
      64, 128, 1, 65, 4096, 4 * MIB - 64, 4 * MIB, 4 * MIB + 64, 2 * MIB, 16 * MIB, 17 * MIB + 192
    };
    List<MemorySegment> blocks = new ArrayList<>();
    for (int round = 0; round < 5; round++) {
      for (long size : sizes) {
        MemorySegment block = memory.allocate(size);
        assertThat(block.byteSize()).isEqualTo(size);
        assertThat(block.address() % MemoryPool.ALIGNMENT).isZero();
        block.fill((byte) blocks.size());
        blocks.add(block);
      }
    }
    for (int i = 0; i < blocks.size(); i++) {
      MemorySegment block = blocks.get(i);
      assertThat(block.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) i);
      assertThat(block.get(ValueLayout.JAVA_BYTE, block.byteSize() - 1)).isEqualTo((byte) i);
    }
    blocks.sort(Comparator.comparingLong(MemorySegment::address));
    for (int i = 1; i < blocks.size(); i++) {
      MemorySegment before = blocks.get(i - 1);
      assertThat(before.address() + before.byteSize()).isLessThanOrEqualTo(blocks.get(i).address());
    }
    memory.close();
  }

  @Test
  void poolOfIt_lendsWaitingBlocksToSmallerSizes() {
    try (CpuDevice device = CpuDevice.open("lending", 1, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      Block waiting = device.memory().allocate(3 * MIB);
      waiting.disown();
      assertThat(device.memory().allocate(2 * MIB)).isSameAs(waiting);
    }
  }

  @Test
  void close_endsWhatWasHandedOut() {
    MappedMemory memory = new MappedMemory();
    MemorySegment small = memory.allocate(64);
    MemorySegment large = memory.allocate(8 * MIB);
    memory.close();
    assertThatThrownBy(() -> small.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> large.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void close_whileAnotherRankGoesByAddresses_leavesZerosForItAndTakesTheMemory() {
    MappedMemory memory = new MappedMemory();
    MemorySegment block = memory.allocate(64 * MIB);
    block.fill((byte) 7);
    long before = residentBytes();
    MemorySegment byAddress =
        MemorySegment.ofAddress(block.address()).reinterpret(block.byteSize());
    memory.close();
    assertThat(before - residentBytes()).isGreaterThan(48 * MIB);
    assertThat(byAddress.get(ValueLayout.JAVA_BYTE, 0)).isZero();
    assertThat(byAddress.get(ValueLayout.JAVA_BYTE, block.byteSize() - 1)).isZero();
  }

  private static long residentBytes() {
    try {
      String pages = Files.readString(Path.of("/proc/self/statm")).split(" ")[1];
      return 4096 * Long.parseLong(pages);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void allocate_moreThanTheSystemHas_isRefusedAndTheNextSucceeds() {
    MappedMemory memory = new MappedMemory();
    assertThatThrownBy(() -> memory.allocate(1L << 60)).isInstanceOf(OutOfMemoryError.class);
    assertThat(memory.allocate(64).byteSize()).isEqualTo(64);
    memory.close();
  }
}
