package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The arguments of a kernel launch, in memory that is allocated once. The driver copies them when
 * it is called, so one block serves launch after launch:
 *
 * <pre>{@code
 * function.launch(stream, blocks, 1, 1, 256, 1, 1, 0,
 *     arguments.clear().pointer(x).pointer(y).int64(n).float32(alpha));
 * }</pre>
 *
 * <p>Order and types must be those of the kernel's parameters: nothing checks them on a real GPU.
 * Belongs to one thread.
 */
public final class LaunchArguments {
  /** Bytes of arguments that a launch can have on every GPU. */
  static final int CAPACITY = 4096;

  private static final int SLOT = Long.BYTES;

  private final MemorySegment values;
  private final MemorySegment pointers;
  private int count;
  private int used;

  /** A block in memory of {@code arena}. */
  public LaunchArguments(Arena arena) {
    values = arena.allocate(CAPACITY, SLOT);
    pointers = arena.allocate(CAPACITY / SLOT * CudaDriver.POINTER.byteSize(), SLOT);
  }

  /** Starts anew. */
  public LaunchArguments clear() {
    count = 0;
    used = 0;
    return this;
  }

  /** A device address. */
  public LaunchArguments pointer(long address) {
    return int64(address);
  }

  /** The address of an array's first element. */
  public LaunchArguments pointer(NDArray array) {
    return int64(array.address());
  }

  /** An {@code int} or {@code unsigned}. */
  public LaunchArguments int32(int value) {
    values.set(ValueLayout.JAVA_INT, next(SLOT), value);
    return this;
  }

  /** A {@code long long}. */
  public LaunchArguments int64(long value) {
    values.set(ValueLayout.JAVA_LONG, next(SLOT), value);
    return this;
  }

  /** A {@code float}. */
  public LaunchArguments float32(float value) {
    values.set(ValueLayout.JAVA_FLOAT, next(SLOT), value);
    return this;
  }

  /** A {@code double}. */
  public LaunchArguments float64(double value) {
    values.set(ValueLayout.JAVA_DOUBLE, next(SLOT), value);
    return this;
  }

  /** A {@code struct} of {@code length} {@code long long} members passed by value. */
  public LaunchArguments int64s(long[] members, int length) {
    long at = next(length * SLOT);
    for (int i = 0; i < length; i++) {
      values.set(ValueLayout.JAVA_LONG, at + (long) i * SLOT, members[i]);
    }
    return this;
  }

  private long next(int bytes) {
    if (bytes > CAPACITY - used) {
      throw new IllegalStateException(
          "LaunchArguments: more than " + CAPACITY + " bytes; was clear() called?");
    }
    long at = used;
    pointers.setAtIndex(ValueLayout.JAVA_LONG, count++, values.address() + at);
    used += bytes;
    return at;
  }

  /** How many arguments there are. */
  public int count() {
    return count;
  }

  /** The array of pointers that {@code cuLaunchKernel} takes. */
  MemorySegment kernelParameters() {
    return pointers;
  }
}
