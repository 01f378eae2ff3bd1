package dev.heddle.runtime;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The element types that an {@link NDArray} can hold. */
public enum DType {
  /** IEEE 754 single precision: the type of training. */
  F32(4, true),
  /** IEEE 754 double precision: the type of checking; served by the reference kernels. */
  F64(8, true),
  /** The upper half of an F32 (8 exponent bits, 7 fraction bits), rounded to nearest even. */
  BF16(2, true),
  I32(4, false),
  I64(8, false),
  /** Unsigned bytes, 0 to 255: pixels and masks. */
  U8(1, false);

  private final int byteSize;
  private final boolean floating;

  DType(int byteSize, boolean floating) {
    this.byteSize = byteSize;
    this.floating = floating;
  }

  /** Bytes of one element. */
  public int byteSize() {
    return byteSize;
  }

  /** Whether values are floating-point numbers, the only ones that can have gradients. */
  public boolean isFloating() {
    return floating;
  }

  /**
   * The type in which sums, statistics and optimizer state of this type are kept: F64 for F64, F32
   * for every narrower floating type.
   */
  public DType accumulation() {
    return switch (this) {
      case F64 -> F64;
      case F32, BF16 -> F32;
      case I32, I64, U8 -> I64;
    };
  }

  /** Reads element {@code index} of packed memory of this type as a double. */
  public double read(MemorySegment memory, long index) {
    return switch (this) {
      case F32 -> memory.getAtIndex(ValueLayout.JAVA_FLOAT, index);
      case F64 -> memory.getAtIndex(ValueLayout.JAVA_DOUBLE, index);
      case BF16 -> bf16ToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT, index));
      case I32 -> memory.getAtIndex(ValueLayout.JAVA_INT, index);
      case I64 -> memory.getAtIndex(ValueLayout.JAVA_LONG, index);
      case U8 -> memory.get(ValueLayout.JAVA_BYTE, index) & 0xff;
    };
  }

  /**
   * Writes {@code value} as element {@code index} of packed memory of this type. Floating types
   * round to nearest even, BF16 by way of F32; integer types truncate toward zero, and I32 and I64
   * saturate, while U8 keeps the low eight bits of the I32.
   */
  public void write(MemorySegment memory, long index, double value) {
    switch (this) {
      case F32 -> memory.setAtIndex(ValueLayout.JAVA_FLOAT, index, (float) value);
      case F64 -> memory.setAtIndex(ValueLayout.JAVA_DOUBLE, index, value);
      case BF16 -> memory.setAtIndex(ValueLayout.JAVA_SHORT, index, floatToBf16((float) value));
      case I32 -> memory.setAtIndex(ValueLayout.JAVA_INT, index, (int) value);
      case I64 -> memory.setAtIndex(ValueLayout.JAVA_LONG, index, (long) value);
      case U8 -> memory.set(ValueLayout.JAVA_BYTE, index, (byte) (int) value);
    }
  }

  /** The float whose upper 16 bits are {@code bits}. */
  public static float bf16ToFloat(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** {@code value} rounded to the nearest bf16, ties to even; NaN stays a (quiet) NaN. */
  public static short floatToBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) {
      return (short) ((bits >>> 16) | 0x0040);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }
}
