package dev.heddle.train.run;

import dev.heddle.runtime.DType;
import dev.heddle.train.config.Precision;

/** The dtype of parameters and activations for a configured precision. */
final class DTypes {
  private DTypes() {}

  static DType of(Precision precision) {
    return switch (precision) {
      case F32 -> DType.F32;
      case F64 -> DType.F64;
      case BF16 -> DType.BF16;
    };
  }
}
