package dev.heddle.runtime.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BulkMemoryTest {
  private static final int ROOM = 64;

  private static byte[] numbers(int count) {
    byte[] numbers = new byte[count];
    new Random(count).nextBytes(numbers);
    return numbers;
  }

  // Around 4096 and 8 MiB, between which the C library copies, and 8192, from where on it clears.
  @ParameterizedTest
  @ValueSource(
      ints = {
        0, 1, 63, 64, 4095, 4096, 4097, 8191, 8192, 8193, 20_000, 300_001, 8_388_607, 8_388_608
      })
  void copiesTheseBytesAndNoOthersFromAnyPlaceToAny(int bytes) {
    try (Arena arena = Arena.ofConfined()) {
      for (int[] offsets : new int[][] {{0, 0}, {1, 0}, {0, 1}, {4, 60}, {63, 2}}) {
        byte[] given = numbers(bytes + ROOM);
        byte[] wanted = numbers(bytes + ROOM + 1);
        MemorySegment from = arena.allocate(bytes + ROOM, 64);
        MemorySegment to = arena.allocate(bytes + ROOM + 1, 64);
        from.copyFrom(MemorySegment.ofArray(given));
        to.copyFrom(MemorySegment.ofArray(wanted));
        System.arraycopy(given, offsets[0], wanted, offsets[1], bytes);
        BulkMemory.copy(from, offsets[0], to, offsets[1], bytes);
        assertArrayEquals(wanted, to.toArray(ValueLayout.JAVA_BYTE));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 63, 64, 4095, 4096, 4097, 8191, 8192, 8193, 20_000, 300_001})
  void clearsTheseBytesAndNoOthers(int bytes) {
    try (Arena arena = Arena.ofConfined()) {
      for (int offset : new int[] {0, 1, 4, 63}) {
        byte[] wanted = numbers(bytes + ROOM);
        MemorySegment memory = arena.allocate(bytes + ROOM, 64);
        memory.copyFrom(MemorySegment.ofArray(wanted));
        Arrays.fill(wanted, offset, offset + bytes, (byte) 0);
        BulkMemory.clear(memory, offset, bytes);
        assertArrayEquals(wanted, memory.toArray(ValueLayout.JAVA_BYTE));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {100, 10_000, 9_000_000})
  void bytesMayOverlap(int bytes) {
    try (Arena arena = Arena.ofConfined()) {
      for (int[] offsets : new int[][] {{0, 8}, {8, 0}}) {
        byte[] wanted = numbers(bytes + 8);
        MemorySegment memory = arena.allocate(bytes + 8, 64);
        memory.copyFrom(MemorySegment.ofArray(wanted));
        System.arraycopy(wanted, offsets[0], wanted, offsets[1], bytes);
        BulkMemory.copy(memory, offsets[0], memory, offsets[1], bytes);
        assertArrayEquals(wanted, memory.toArray(ValueLayout.JAVA_BYTE));
      }
    }
  }

  @Test
  void memoryMayBeOfTheHeap() {
    byte[] given = numbers(10_000);
    byte[] got = new byte[10_000];
    BulkMemory.copy(MemorySegment.ofArray(given), 0, MemorySegment.ofArray(got), 0, 10_000);
    assertArrayEquals(given, got);
    BulkMemory.clear(MemorySegment.ofArray(got), 0, 10_000);
    assertArrayEquals(new byte[10_000], got);
  }

  @ParameterizedTest
  @ValueSource(ints = {100, 10_000})
  void refusesWhatIsNotThere(int bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment a = arena.allocate(bytes);
      MemorySegment b = arena.allocate(bytes);
      assertThrows(IndexOutOfBoundsException.class, () -> BulkMemory.copy(a, 1, b, 0, bytes));
      assertThrows(IndexOutOfBoundsException.class, () -> BulkMemory.copy(a, 0, b, 1, bytes));
      assertThrows(IndexOutOfBoundsException.class, () -> BulkMemory.copy(a, -1, b, 0, bytes));
      assertThrows(IndexOutOfBoundsException.class, () -> BulkMemory.clear(a, 1, bytes));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {100, 10_000})
  void refusesMemoryThatIsReadOnlyOrClosed(int bytes) {
    MemorySegment a;
    MemorySegment b;
    try (Arena arena = Arena.ofConfined()) {
      a = arena.allocate(bytes);
      b = arena.allocate(bytes);
      assertThrows(
          IllegalArgumentException.class, () -> BulkMemory.copy(a, 0, b.asReadOnly(), 0, bytes));
      assertThrows(
          IllegalArgumentException.class, () -> BulkMemory.clear(b.asReadOnly(), 0, bytes));
    }
    assertThrows(IllegalStateException.class, () -> BulkMemory.copy(a, 0, b, 0, bytes));
    assertThrows(IllegalStateException.class, () -> BulkMemory.clear(b, 0, bytes));
  }

  @Test
  void refusesMemoryOfAnotherThread() throws InterruptedException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment a = arena.allocate(10_000);
      Throwable[] thrown = new Throwable[1];
      Thread other =
          new Thread(
              () ->
                  thrown[0] =
                      assertThrows(
                          WrongThreadException.class, () -> BulkMemory.clear(a, 0, 10_000)));
      other.start();
      other.join();
      assertInstanceOf(WrongThreadException.class, thrown[0]);
    }
  }
}
