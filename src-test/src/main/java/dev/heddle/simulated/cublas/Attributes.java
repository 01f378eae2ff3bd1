package dev.heddle.simulated.cublas;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;

/**
 * The attributes of a descriptor, as cuBLASLt 12.4 keeps them: setting and reading check the size
 * of the buffer and nothing else; reading into no bytes tells the size.
 */
final class Attributes {
  private final String kind;
  private final Map<Integer, Integer> sizes;
  private final Map<Integer, Long> values = new HashMap<>();

  /**
   * @param kind what they belong to, for messages
   * @param sizes the size in bytes of each attribute there is: 1, 4 or 8
   */
  Attributes(String kind, Map<Integer, Integer> sizes) {
    this.kind = kind;
    this.sizes = sizes;
  }

  /** Presets an attribute. */
  Attributes with(int attribute, long value) {
    size(attribute);
    values.put(attribute, value);
    return this;
  }

  /** An attribute's value, 0 if it was never set. */
  long get(int attribute) {
    size(attribute);
    return values.getOrDefault(attribute, 0L);
  }

  int getInt(int attribute) {
    return (int) get(attribute);
  }

  void set(int attribute, long buffer, long byteSize) {
    int size = size(attribute);
    Refusal.unless(buffer != 0, "%s attribute %d: the buffer is null", kind, attribute);
    Refusal.unless(
        byteSize == size, "%s attribute %d has %d bytes, not %d", kind, attribute, size, byteSize);
    MemorySegment memory = MemorySegment.ofAddress(buffer).reinterpret(size);
    long value =
        switch (size) {
          case 1 -> memory.get(ValueLayout.JAVA_BYTE, 0);
          case 4 -> memory.get(ValueLayout.JAVA_INT_UNALIGNED, 0);
          default -> memory.get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
        };
    values.put(attribute, value);
  }

  void get(int attribute, long buffer, long byteSize, long written) {
    int size = size(attribute);
    if (written != 0) {
      MemorySegment.ofAddress(written)
          .reinterpret(Long.BYTES)
          .set(ValueLayout.JAVA_LONG_UNALIGNED, 0, size);
    }
    if (byteSize == 0) {
      Refusal.unless(written != 0, "%s attribute %d: neither a buffer nor a size", kind, attribute);
      return;
    }
    Refusal.unless(buffer != 0, "%s attribute %d: the buffer is null", kind, attribute);
    Refusal.unless(
        byteSize == size, "%s attribute %d has %d bytes, not %d", kind, attribute, size, byteSize);
    MemorySegment memory = MemorySegment.ofAddress(buffer).reinterpret(size);
    long value = get(attribute);
    switch (size) {
      case 1 -> memory.set(ValueLayout.JAVA_BYTE, 0, (byte) value);
      case 4 -> memory.set(ValueLayout.JAVA_INT_UNALIGNED, 0, (int) value);
      default -> memory.set(ValueLayout.JAVA_LONG_UNALIGNED, 0, value);
    }
  }

  private int size(int attribute) {
    Integer size = sizes.get(attribute);
    if (size == null) {
      throw Refusal.invalid("%s has no attribute %d", kind, attribute);
    }
    return size;
  }
}
