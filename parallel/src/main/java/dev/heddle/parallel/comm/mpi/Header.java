package dev.heddle.parallel.comm.mpi;

import dev.heddle.runtime.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * What goes ahead of the elements of a parcel: to which call they belong, and what the sender
 * thinks that call is. A few elements follow at once; more of them come in a message of their own,
 * which the receiver fetches once it knows where to.
 *
 * @param from the sender's number in the world
 * @param group the group, as a number that all members compute alike
 * @param stage {@link #EXCHANGE}, or the round of a collective, from 1
 * @param number which collective of the group, or which message from this sender to this receiver
 * @param signature what collective it is; the same number on all members if they agree
 * @param elements how many elements the sender has for the receiver; -1 for none by design
 * @param dtype their type; null without elements
 * @param bytes how many bytes they are; 0 where only shapes are known
 * @param tag the tag of the message that brings the elements, {@link #INLINE} if they are here
 */
record Header(
    int from,
    long group,
    int stage,
    long number,
    long signature,
    long elements,
    @Nullable DType dtype,
    long bytes,
    int tag) {
  /** The stage of point-to-point messages. */
  static final int EXCHANGE = 0;

  /** The tag of elements that follow their header at once. */
  static final int INLINE = -1;

  /** The bytes of a header. */
  static final int BYTES = 64;

  /** The most bytes of header and elements together: what MPI sends without asking. */
  static final int PARCEL_BYTES = 4_000;

  private static final DType[] DTYPES = DType.values();
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  /** Whether so many bytes can follow their header at once. */
  static boolean fitsInline(long bytes) {
    return bytes <= PARCEL_BYTES - BYTES;
  }

  void write(MemorySegment memory) {
    memory.set(LONG, 0, group);
    memory.set(LONG, 8, number);
    memory.set(LONG, 16, signature);
    memory.set(LONG, 24, elements);
    memory.set(LONG, 32, bytes);
    memory.set(INT, 40, stage);
    memory.set(INT, 44, dtype == null ? -1 : dtype.ordinal());
    memory.set(INT, 48, tag);
    memory.set(INT, 52, from);
  }

  static Header read(MemorySegment memory) {
    int dtype = memory.get(INT, 44);
    return new Header(
        memory.get(INT, 52),
        memory.get(LONG, 0),
        memory.get(INT, 40),
        memory.get(LONG, 8),
        memory.get(LONG, 16),
        memory.get(LONG, 24),
        dtype < 0 ? null : DTYPES[dtype],
        memory.get(LONG, 32),
        memory.get(INT, 48));
  }
}
