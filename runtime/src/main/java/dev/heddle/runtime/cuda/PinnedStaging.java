package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Page-locked host memory through which values travel to and from the GPU, so that the host need
 * not wait for copies to it: the GPU reads host memory when the copy runs, long after the caller
 * has gone on.
 *
 * <p>A ring of parts. Small values are packed into the current part; when it is full an event marks
 * the copies out of it, and the next part is used once its own event is reached. So the host waits
 * only if it is a whole ring ahead of the GPU. All copies are on one stream.
 *
 * <p>The memory is taken from the driver at the first copy. Belongs to the device's thread.
 */
final class PinnedStaging implements AutoCloseable {
  private static final int PARTS = 4;
  private static final long ALIGNMENT = 64;

  private final CudaContext context;
  private final CudaStream stream;
  private final long partBytes;
  private final CudaEvent[] marks = new CudaEvent[PARTS];
  private MemorySegment memory = MemorySegment.NULL;
  private int part;
  private long used;

  PinnedStaging(CudaContext context, CudaStream stream, long partBytes) {
    this.context = context;
    this.stream = stream;
    this.partBytes = partBytes;
  }

  /** Queues a copy of {@code source} to the GPU; {@code source} may be reused at once. */
  void upload(MemorySegment source, long destination) {
    open();
    long total = source.byteSize();
    for (long done = 0; done < total; ) {
      if (used == partBytes) {
        nextPart();
      }
      long bytes = Math.min(total - done, partBytes - used);
      MemorySegment staged = memory.asSlice(part * partBytes + used, bytes);
      MemorySegment.copy(source, done, staged, 0, bytes);
      stream.copyFromHost(destination + done, staged, bytes);
      used = Math.min(partBytes, (used + bytes + ALIGNMENT - 1) & -ALIGNMENT);
      done += bytes;
    }
  }

  /** Copies from the GPU and waits until {@code destination} holds the values. */
  void download(long source, MemorySegment destination) {
    open();
    long total = destination.byteSize();
    long queued = 0;
    long done = 0;
    int oldest = part;
    // Two parts at a time: the GPU fills one while the host empties the other.
    while (done < total) {
      while (queued < total && queued - done <= partBytes) {
        nextPart();
        if (queued == 0) {
          oldest = part;
        }
        long bytes = Math.min(partBytes, total - queued);
        stream.copyToHost(memory.asSlice(part * partBytes, bytes), source + queued, bytes);
        used = partBytes;
        stream.record(marks[part]);
        queued += bytes;
      }
      long bytes = Math.min(partBytes, total - done);
      marks[oldest].synchronize();
      MemorySegment.copy(memory, oldest * partBytes, destination, done, bytes);
      done += bytes;
      oldest = (oldest + 1) % PARTS;
    }
  }

  private void nextPart() {
    stream.record(marks[part]);
    part = (part + 1) % PARTS;
    used = 0;
    if (!marks[part].isDone()) {
      marks[part].synchronize();
    }
  }

  private void open() {
    if (memory.address() != 0) {
      return;
    }
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      long bytes = PARTS * partBytes;
      int status = Cuda.cuMemHostAlloc(pointer, bytes, Cuda.CU_MEMHOSTALLOC_PORTABLE());
      if (status != 0) {
        throw CudaDriver.failureWith(
            "Page-locked host memory could not be had; raise the limit of locked memory (ulimit -l).",
            status,
            "cuMemHostAlloc",
            "bytes",
            bytes);
      }
      memory = pointer.get(CudaDriver.POINTER, 0).reinterpret(bytes);
    }
    for (int i = 0; i < PARTS; i++) {
      marks[i] = CudaEvent.open(context);
    }
  }

  /** Gives the memory back; all copies must have run. */
  @Override
  public void close() {
    if (memory.address() != 0) {
      context.makeCurrent();
      for (CudaEvent mark : marks) {
        mark.close();
      }
      CudaDriver.check(Cuda.cuMemFreeHost(memory), "cuMemFreeHost");
      memory = MemorySegment.NULL;
    }
  }
}
