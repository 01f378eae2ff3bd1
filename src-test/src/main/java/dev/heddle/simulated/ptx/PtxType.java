package dev.heddle.simulated.ptx;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The types of PTX instructions, registers and variables. */
public enum PtxType {
  PRED(1),
  B8(8),
  B16(16),
  B32(32),
  B64(64),
  U8(8),
  U16(16),
  U32(32),
  U64(64),
  S8(8),
  S16(16),
  S32(32),
  S64(64),
  F16(16),
  BF16(16),
  F16X2(32),
  BF16X2(32),
  TF32(32),
  F32(32),
  F64(64);

  private static final Map<String, PtxType> BY_NAME = new HashMap<>();

  static {
    for (PtxType type : values()) {
      BY_NAME.put(type.name().toLowerCase(Locale.ROOT), type);
    }
  }

  private final int bits;

  PtxType(int bits) {
    this.bits = bits;
  }

  /** The type that PTX calls {@code .name}, or null. */
  public static @Nullable PtxType of(String name) {
    return BY_NAME.get(name);
  }

  /** Size in bits; 1 for a predicate. */
  public int bits() {
    return bits;
  }

  /** Size in bytes; 1 for a predicate. */
  public int bytes() {
    return Math.max(1, bits / 8);
  }

  /** Whether it is a signed integer. */
  public boolean isSigned() {
    return this == S8 || this == S16 || this == S32 || this == S64;
  }

  /** Whether it is an integer or a plain bit pattern. */
  public boolean isInteger() {
    return this != PRED && !isFloat();
  }

  /** Whether it is a floating-point type, packed ones too. */
  public boolean isFloat() {
    return switch (this) {
      case F16, BF16, F16X2, BF16X2, TF32, F32, F64 -> true;
      default -> false;
    };
  }
}
