package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Copies and fills of small float matrices at raw addresses, strides in bytes. */
final class Tiles {
  private Tiles() {}

  static void copy(long from, long fromStride, long to, long toStride, long rows, int columns) {
    for (long row = 0; row < rows; row++) {
      copy(from + row * fromStride, to + row * toStride, columns);
    }
  }

  static void copy(long from, long to, int count) {
    long source = address(from);
    long target = address(to);
    int bound = count & -Lanes.LENGTH;
    for (int i = 0; i < bound; i += Lanes.LENGTH) {
      store(load(source + 4L * i), target + 4L * i);
    }
    for (int i = bound; i < count; i++) {
      Lanes.set(target + 4L * i, Lanes.get(source + 4L * i));
    }
  }

  /** {@code count} floats become {@code value}. */
  static void fill(long to, long count, float value) {
    FloatVector vector = Lanes.broadcast(value);
    long target = to;
    long rest = count;
    while (rest >= Lanes.LENGTH) {
      store(vector, address(target));
      target += Lanes.BYTES;
      rest -= Lanes.LENGTH;
    }
    if (rest > 0) {
      VectorMask<Float> mask = Lanes.first((int) rest);
      store(vector, address(target), mask);
    }
  }

  /** {@code bytes} bytes become zero. */
  static void zeroBytes(long to, long bytes) {
    long floats = bytes / 4;
    fill(to, floats, 0);
    for (long i = 4 * floats; i < bytes; i++) {
      Lanes.MEMORY.set(ValueLayout.JAVA_BYTE, to + i, (byte) 0);
    }
  }
}
