package dev.heddle.simulated.cublas;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.DType;
import java.lang.foreign.MemorySegment;

/** The element types of matrices, {@code cudaDataType}, that the simulation computes with. */
enum ElementType {
  F32(Cublas.CUDA_R_32F(), DType.F32),
  F64(Cublas.CUDA_R_64F(), DType.F64),
  BF16(Cublas.CUDA_R_16BF(), DType.BF16);

  private final int code;
  private final DType dtype;

  ElementType(int code, DType dtype) {
    this.code = code;
    this.dtype = dtype;
  }

  static ElementType of(int code) {
    for (ElementType type : values()) {
      if (type.code == code) {
        return type;
      }
    }
    throw Refusal.unsupported("data type %d is not simulated; wanted R_32F, R_64F or R_16BF", code);
  }

  int byteSize() {
    return dtype.byteSize();
  }

  double read(MemorySegment memory, long index) {
    return dtype.read(memory, index);
  }

  void write(MemorySegment memory, long index, double value) {
    dtype.write(memory, index, value);
  }

  /** The host scalar that alpha or beta points to. */
  double scalar(long pointer, String name) {
    Refusal.unless(pointer != 0, "%s is null", name);
    // Scale factors are F64 for F64 and F32 for the other types.
    DType scale = this == F64 ? DType.F64 : DType.F32;
    return scale.read(MemorySegment.ofAddress(pointer).reinterpret(scale.byteSize()), 0);
  }
}
