package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.runtime.HostCopy;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Copies to the host that are waited for later, if at all: a few small places of page-locked
 * memory, each with an event behind its copy.
 */
final class CudaHostCopies implements CudaAttachment {
  private static final int PLACES = 4;
  private static final long PLACE_BYTES = 4096;

  private final CudaDevice device;
  private final CudaEvent[] marks = new CudaEvent[PLACES];
  private final boolean[] taken = new boolean[PLACES];
  private final MemorySegment memory;

  CudaHostCopies(CudaDevice device) {
    this.device = device;
    device.context().makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      long bytes = PLACES * PLACE_BYTES;
      int flags = Cuda.CU_MEMHOSTALLOC_PORTABLE();
      CudaDriver.check(Cuda.cuMemHostAlloc(pointer, bytes, flags), "cuMemHostAlloc");
      memory = pointer.get(CudaDriver.POINTER, 0).reinterpret(bytes);
    }
    for (int i = 0; i < PLACES; i++) {
      marks[i] = CudaEvent.open(device.context());
    }
  }

  HostCopy begin(long source, long bytes) {
    if (bytes > PLACE_BYTES) {
      throw new IllegalArgumentException(
          "%s: a later copy to the host of %d bytes; at most %d"
              .formatted(device.name(), bytes, PLACE_BYTES));
    }
    int place = 0;
    while (place < PLACES && taken[place]) {
      place++;
    }
    if (place == PLACES) {
      throw new IllegalStateException(
          "%s: %d later copies to the host are under way; await one before the next is begun"
              .formatted(device.name(), PLACES));
    }
    taken[place] = true;
    device.stream().copyToHost(memory.asSlice(place * PLACE_BYTES, bytes), source, bytes);
    device.stream().record(marks[place]);
    return new Copy(place, bytes, device.context().tally.given());
  }

  private final class Copy implements HostCopy {
    private final int place;
    private final long bytes;

    /** What the device had been given when this copy was. */
    private final long given;

    private Copy(int place, long bytes, long given) {
      this.place = place;
      this.bytes = bytes;
      this.given = given;
    }

    @Override
    public boolean isDone() {
      return marks[place].isDone();
    }

    @Override
    public MemorySegment await() {
      if (!isDone()) {
        marks[place].synchronize(device.context().tally.given() > given);
      }
      device.afterWait();
      byte[] values = new byte[Math.toIntExact(bytes)];
      MemorySegment result = MemorySegment.ofArray(values);
      result.copyFrom(memory.asSlice(place * PLACE_BYTES, bytes));
      taken[place] = false;
      return result;
    }
  }

  @Override
  public void close() {
    device.context().makeCurrent();
    for (CudaEvent mark : marks) {
      mark.close();
    }
    CudaDriver.check(Cuda.cuMemFreeHost(memory), "cuMemFreeHost");
  }
}
