package dev.heddle.simulated.nccl;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.runtime.DType;
import java.lang.foreign.MemorySegment;

/** The element types that are moved and reduced, by NCCL's numbers. */
enum ElementKind {
  UINT8(1),
  INT32(4),
  INT64(8),
  BFLOAT16(2),
  FLOAT32(4),
  FLOAT64(8);

  final int byteSize;

  ElementKind(int byteSize) {
    this.byteSize = byteSize;
  }

  static ElementKind of(int type) {
    if (type == Nccl.ncclUint8()) {
      return UINT8;
    }
    if (type == Nccl.ncclInt32()) {
      return INT32;
    }
    if (type == Nccl.ncclInt64()) {
      return INT64;
    }
    if (type == Nccl.ncclBfloat16()) {
      return BFLOAT16;
    }
    if (type == Nccl.ncclFloat32()) {
      return FLOAT32;
    }
    if (type == Nccl.ncclFloat64()) {
      return FLOAT64;
    }
    throw NcclError.argument("ncclDataType_t " + type + " is not simulated");
  }

  /**
   * Writes to {@code result} what the ranks' values become, in the order of the ranks. BF16 is
   * rounded once.
   */
  void reduce(MemorySegment[] sources, long count, ReductionKind op, MemorySegment result) {
    for (long i = 0; i < count; i++) {
      switch (this) {
        case UINT8, INT32, INT64 -> {
          long value = integer(sources[0], i);
          for (int rank = 1; rank < sources.length; rank++) {
            value = op.combine(value, integer(sources[rank], i));
          }
          setInteger(result, i, value);
        }
        case FLOAT64 -> {
          double value = sources[0].getAtIndex(JAVA_DOUBLE_UNALIGNED, i);
          for (int rank = 1; rank < sources.length; rank++) {
            value = op.combine(value, sources[rank].getAtIndex(JAVA_DOUBLE_UNALIGNED, i));
          }
          result.setAtIndex(JAVA_DOUBLE_UNALIGNED, i, value);
        }
        case FLOAT32, BFLOAT16 -> {
          float value = single(sources[0], i);
          for (int rank = 1; rank < sources.length; rank++) {
            value = op.combine(value, single(sources[rank], i));
          }
          setSingle(result, i, value);
        }
      }
    }
  }

  private long integer(MemorySegment memory, long i) {
    return switch (this) {
      case UINT8 -> memory.getAtIndex(JAVA_BYTE, i) & 0xFF;
      case INT32 -> memory.getAtIndex(JAVA_INT_UNALIGNED, i);
      default -> memory.getAtIndex(JAVA_LONG_UNALIGNED, i);
    };
  }

  private void setInteger(MemorySegment memory, long i, long value) {
    switch (this) {
      case UINT8 -> memory.setAtIndex(JAVA_BYTE, i, (byte) value);
      case INT32 -> memory.setAtIndex(JAVA_INT_UNALIGNED, i, (int) value);
      default -> memory.setAtIndex(JAVA_LONG_UNALIGNED, i, value);
    }
  }

  private float single(MemorySegment memory, long i) {
    return this == FLOAT32
        ? memory.getAtIndex(JAVA_FLOAT_UNALIGNED, i)
        : DType.bf16ToFloat(memory.getAtIndex(JAVA_SHORT_UNALIGNED, i));
  }

  private void setSingle(MemorySegment memory, long i, float value) {
    if (this == FLOAT32) {
      memory.setAtIndex(JAVA_FLOAT_UNALIGNED, i, value);
    } else {
      memory.setAtIndex(JAVA_SHORT_UNALIGNED, i, DType.floatToBf16(value));
    }
  }
}
