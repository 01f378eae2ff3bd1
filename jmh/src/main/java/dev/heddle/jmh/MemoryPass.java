package dev.heddle.jmh;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cpu.WorkerPool;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads four F32 arrays and writes three of them, as AdamW does, with next to nothing to compute in
 * between: what a step would take if nothing but memory limited it. Its arrays belong to the scope
 * that is open when it is made.
 */
final class MemoryPass {
  /** Elements that a thread takes at a time. */
  private static final long GRAIN = 16 * 1024;

  private final WorkerPool workers;
  private final long size;
  private final NDArray read;
  private final List<NDArray> changed = new ArrayList<>();
  private final @Nullable VectorLoop loop = makeLoop();
  private final MemorySegment table =
      loop == null ? MemorySegment.NULL : loop.table(Arena.ofAuto());

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
    workers.run(size, GRAIN, this::pass);
  }

  private void pass(long start, long end) {
    VectorLoop code = loop;
    long offset = Float.BYTES * start;
    if (code != null) {
      code.run(
          address(read) + offset,
          address(changed.get(0)) + offset,
          address(changed.get(1)) + offset,
          address(changed.get(2)) + offset,
          0,
          end - start,
          table.address());
      return;
    }
    MemorySegment from = slice(read);
    for (NDArray array : changed) {
      MemorySegment to = slice(array);
      for (long i = start; i < end; i++) {
        float goal = from.getAtIndex(ValueLayout.JAVA_FLOAT, i);
        float half = (to.getAtIndex(ValueLayout.JAVA_FLOAT, i) + goal) * 0.5f;
        to.setAtIndex(ValueLayout.JAVA_FLOAT, i, half);
      }
    }
  }

  private static long address(NDArray array) {
    return array.segment().address() + array.byteOffset();
  }

  private static MemorySegment slice(NDArray array) {
    return array.segment().asSlice(array.byteOffset(), array.size() * Float.BYTES);
  }

  /** By machine code, which is the same in every run; null where there is none. */
  private static @Nullable VectorLoop makeLoop() {
    VectorProgram.Type type = VectorProgram.Type.F32;
    VectorProgram program = new VectorProgram(type, type, type, type);
    VectorProgram.Value half = program.constant(0.5f);
    VectorProgram.Value goal = program.load(0);
    for (int i = 1; i <= 3; i++) {
      program.store(i, program.multiply(program.add(program.load(i), goal), half));
    }
    return program.compile().orElse(null);
  }
}
