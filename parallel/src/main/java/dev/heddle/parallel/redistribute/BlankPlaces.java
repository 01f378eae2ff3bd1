package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.BulkMemory;
import java.lang.foreign.MemorySegment;

/**
 * The places of one rank's buffer where no row of the boundary lies, such as those of words. They
 * must be zero, since what belongs there is added to what is there; all other places are written by
 * what arrives, so that clearing these too would write them twice.
 */
final class BlankPlaces {
  /** Bytes that a thread of the device clears at a time, more than it takes to wake it. */
  private static final long BYTES_A_THREAD = 256 * 1024;

  private final Intervals places;

  BlankPlaces(Holding holding) {
    this.places = holding.runs().freePlaces(holding.bufferRows());
  }

  /** Sets these places of {@code buffer} [rows, features], which is contiguous, to zero. */
  void clear(NDArray buffer) {
    if (places.isEmpty()) {
      return;
    }
    if (!(buffer.device() instanceof CpuDevice device)) {
      // One kernel that writes everything costs less than one for each interval.
      buffer.kernels().fill(buffer, 0);
      return;
    }
    long rowBytes = buffer.dim(1) * buffer.dtype().byteSize();
    MemorySegment memory = buffer.segment();
    long start = buffer.byteOffset();
    long bytesEach = Math.max(1, places.size() * rowBytes / places.count());
    device
        .workers()
        .run(
            places.count(),
            Math.max(1, BYTES_A_THREAD / bytesEach),
            (first, end) -> {
              for (int i = (int) first; i < end; i++) {
                long offset = start + places.start(i) * rowBytes;
                BulkMemory.clear(memory, offset, (places.end(i) - places.start(i)) * rowBytes);
              }
            });
  }
}
