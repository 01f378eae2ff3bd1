package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.mpi.StagingPool.Buffer;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A parcel whose header has come. Its few elements are in {@code buffer}, or its many wait at their
 * sender. Whoever takes it hands it to {@link Transport#accept} or {@link Transport#discard}, once.
 *
 * @param header who sent what
 * @param buffer header and inline elements; of whatever size, for parcels of a rank to itself
 */
record Arrival(Header header, @Nullable Buffer buffer) {
  /** The elements that came with the header. */
  MemorySegment inlineElements() {
    if (buffer == null) {
      throw new IllegalStateException("a parcel without inline elements: " + header);
    }
    return buffer.segment().asSlice(Header.BYTES, header.bytes());
  }
}
