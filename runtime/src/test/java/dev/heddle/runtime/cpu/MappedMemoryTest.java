package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;

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
  void allocate_moreThanTheSystemHas_isRefusedAndTheNextSucceeds() {
    MappedMemory memory = new MappedMemory();
    assertThatThrownBy(() -> memory.allocate(1L << 60)).isInstanceOf(OutOfMemoryError.class);
    assertThat(memory.allocate(64).byteSize()).isEqualTo(64);
    memory.close();
  }
}
