package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;

/** Copies and fills of small float matrices at raw addresses, strides in bytes. */
final class Tiles {
  private static final long FILL_STEP = 1 << 28;

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
    for (long done = 0; done < count; done += FILL_STEP) {
      fillStep(to + 4 * done, (int) Math.min(FILL_STEP, count - done), value);
    }
  }

  private static void fillStep(long to, int n, float value) {
    long y = address(to);
    int bound = n & -Lanes.LENGTH;
    if (bound > 0) {
      FloatVector all = Lanes.broadcast(value);
      for (int i = 0; i < bound; i += Lanes.LENGTH) {
        store(all, y + 4L * i);
      }
    }
    for (int i = bound; i < n; i++) {
      Lanes.set(y + 4L * i, value);
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
