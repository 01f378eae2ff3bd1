package dev.heddle.train.checkpoint;

import java.util.Arrays;
import java.util.Optional;

/** The number formats of a safetensors file that Heddle reads and writes; names as in the file. */
public enum TensorType {
  /** 32-bit float. */
  F32(4),
  /** 64-bit float. */
  F64(8),
  /** The upper half of a 32-bit float. */
  BF16(2),
  /** 32-bit signed integer. */
  I32(4),
  /** 64-bit signed integer. */
  I64(8),
  /** 8-bit unsigned integer. */
  U8(1);

  private final int byteSize;

  TensorType(int byteSize) {
    this.byteSize = byteSize;
  }

  /** Bytes of one element. */
  public int byteSize() {
    return byteSize;
  }

  /** The format with this name, if Heddle knows it. */
  static Optional<TensorType> of(String name) {
    return Arrays.stream(values()).filter(type -> type.name().equals(name)).findFirst();
  }
}
