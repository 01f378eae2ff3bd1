package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.runtime.OutOfRange;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * How a row number or target out of range, which only the GPU sees, becomes an exception without
 * anybody waiting for the GPU. A kernel that meets one leaves the row's output zero (or adds
 * nothing) and writes what it saw to page-locked host memory; the host looks there after every
 * gather, scatter, translation of row numbers and cross-entropy, and whenever it has waited for the
 * device. So the exception comes from the first such call after the kernel has run: at the latest
 * from the synchronisation or the read of a value behind it. One fault is kept: the first that was
 * written.
 *
 * <p>The memory is that of {@code RowFault} in {@code rows.cuh}.
 */
final class CudaRowFaults implements CudaAttachment {
  private static final long STATE = 0;
  private static final long KERNEL = 4;
  private static final long ENTRY = 8;
  private static final long ROW = 16;
  private static final long ROWS = 24;
  private static final long BYTES = 32;
  private static final int WRITTEN = 2;

  private final @Nullable CudaContext context;
  private MemorySegment memory = MemorySegment.NULL;
  private long address;

  CudaRowFaults(CudaContext context) {
    this.context = context;
  }

  private CudaRowFaults() {
    this.context = null;
  }

  /** Of a GPU on paper, which sees no row numbers. */
  static CudaRowFaults onPaper() {
    return new CudaRowFaults();
  }

  /** Where the GPU writes. */
  long address() {
    if (address == 0 && context != null) {
      open(context);
    }
    return address;
  }

  private void open(CudaContext context) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int flags = Cuda.CU_MEMHOSTALLOC_PORTABLE() | Cuda.CU_MEMHOSTALLOC_DEVICEMAP();
      CudaDriver.check(Cuda.cuMemHostAlloc(pointer, BYTES, flags), "cuMemHostAlloc");
      memory = pointer.get(CudaDriver.POINTER, 0).reinterpret(BYTES).fill((byte) 0);
      CudaDriver.check(
          Cuda.cuMemHostGetDevicePointer_v2(pointer, memory, 0), "cuMemHostGetDevicePointer");
      address = pointer.get(JAVA_LONG, 0);
    }
  }

  /**
   * Throws what the GPU has written, once.
   *
   * @throws IndexOutOfBoundsException naming kernel, entry and row
   */
  void check() {
    if (memory.address() == 0 || memory.get(JAVA_INT, STATE) != WRITTEN) {
      return;
    }
    VarHandle.acquireFence();
    long entry = memory.get(JAVA_LONG, ENTRY);
    long row = memory.get(JAVA_LONG, ROW);
    long rows = memory.get(JAVA_LONG, ROWS);
    IndexOutOfBoundsException fault =
        switch (memory.get(JAVA_INT, KERNEL)) {
          case 0 -> OutOfRange.row("gatherRows", entry, row, "x", rows);
          case 1 -> OutOfRange.row("scatterAddRows", entry, row, "y", rows);
          case 3 -> OutOfRange.wholeRow(entry, row, rows);
          default -> OutOfRange.target(entry, row, rows);
        };
    VarHandle.fullFence();
    memory.set(JAVA_INT, STATE, 0);
    throw fault;
  }

  @Override
  public void close() {
    if (context != null && memory.address() != 0) {
      context.makeCurrent();
      CudaDriver.check(Cuda.cuMemFreeHost(memory), "cuMemFreeHost");
      memory = MemorySegment.NULL;
      address = 0;
    }
  }
}
