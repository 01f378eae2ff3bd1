package dev.heddle.jmh;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cpu.WorkerPool;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Reads four F32 arrays and writes three of them, as AdamW does, with next to nothing to compute in
 * between: what a step would take if nothing but memory limited it. Its arrays belong to the scope
 * that is open when it is made.
 */
final class MemoryPass {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;

  // Made once: made in the loop it would be many nodes more for a compiler that stops inlining.
  private static final FloatVector HALF = FloatVector.broadcast(SPECIES, 0.5f);

  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  /** Elements that a thread takes at a time. */
  private static final long GRAIN = 16 * 1024;

  private final WorkerPool workers;
  private final long size;
  private final NDArray read;
  private final List<NDArray> changed = new ArrayList<>();

  /** Arrays of {@code size} elements, and one pass over them, whose result is checked. */
  MemoryPass(CpuDevice device, long size) {
    this.workers = device.workers();
    this.size = size;
    Shape shape = Shape.of(size);
    read = NDArray.full(device, BenchmarkDevice.dtype(), shape, 1);
    for (int i = 0; i < 3; i++) {
      changed.add(NDArray.full(device, BenchmarkDevice.dtype(), shape, 2 * i + 3));
    }
    run();
    for (int i = 0; i < 3; i++) {
      check(changed.get(i), i + 2);
    }
  }

  private static void check(NDArray array, float wanted) {
    for (float value : array.toFloats()) {
      if (value != wanted) {
        throw new IllegalStateException("MemoryPass: got " + value + ", wanted " + wanted);
      }
    }
  }

  /** Each of the three comes half as near to the fourth: numbers stay normal however often. */
  void run() {
    MemorySegment to = slice(read);
    MemorySegment first = slice(changed.get(0));
    MemorySegment second = slice(changed.get(1));
    MemorySegment third = slice(changed.get(2));
    workers.run(size, GRAIN, (start, end) -> pass(to, first, second, third, start, end));
  }

  private static MemorySegment slice(NDArray array) {
    return array.segment().asSlice(array.byteOffset(), array.size() * Float.BYTES);
  }

  private static void pass(
      MemorySegment to,
      MemorySegment first,
      MemorySegment second,
      MemorySegment third,
      long start,
      long end) {
    long at = start * Float.BYTES;
    long last = end * Float.BYTES;
    long vectors = last - (last - at) % SPECIES.vectorByteSize();
    for (; at < vectors; at += SPECIES.vectorByteSize()) {
      FloatVector goal = FloatVector.fromMemorySegment(SPECIES, to, at, ORDER);
      halve(goal, first, at);
      halve(goal, second, at);
      halve(goal, third, at);
    }
    for (; at < last; at += Float.BYTES) {
      float goal = to.get(ValueLayout.JAVA_FLOAT, at);
      halve(goal, first, at);
      halve(goal, second, at);
      halve(goal, third, at);
    }
  }

  private static void halve(FloatVector goal, MemorySegment memory, long at) {
    FloatVector.fromMemorySegment(SPECIES, memory, at, ORDER)
        .add(goal)
        .mul(HALF)
        .intoMemorySegment(memory, at, ORDER);
  }

  private static void halve(float goal, MemorySegment memory, long at) {
    memory.set(ValueLayout.JAVA_FLOAT, at, (memory.get(ValueLayout.JAVA_FLOAT, at) + goal) * 0.5f);
  }
}
