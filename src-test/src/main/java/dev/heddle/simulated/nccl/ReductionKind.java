package dev.heddle.simulated.nccl;

import dev.heddle.bindings.nccl.Nccl;

/** The reductions, by NCCL's numbers. Maxima and minima pass NaN over, as {@code fmaxf} does. */
enum ReductionKind {
  SUM,
  PROD,
  MAX,
  MIN;

  static ReductionKind of(int op) {
    if (op == Nccl.ncclSum()) {
      return SUM;
    }
    if (op == Nccl.ncclProd()) {
      return PROD;
    }
    if (op == Nccl.ncclMax()) {
      return MAX;
    }
    if (op == Nccl.ncclMin()) {
      return MIN;
    }
    throw NcclError.argument("ncclRedOp_t " + op + " is not simulated");
  }

  long combine(long a, long b) {
    return switch (this) {
      case SUM -> a + b;
      case PROD -> a * b;
      case MAX -> Math.max(a, b);
      case MIN -> Math.min(a, b);
    };
  }

  float combine(float a, float b) {
    return switch (this) {
      case SUM -> a + b;
      case PROD -> a * b;
      case MAX -> Float.isNaN(a) ? b : Float.isNaN(b) ? a : Math.max(a, b);
      case MIN -> Float.isNaN(a) ? b : Float.isNaN(b) ? a : Math.min(a, b);
    };
  }

  double combine(double a, double b) {
    return switch (this) {
      case SUM -> a + b;
      case PROD -> a * b;
      case MAX -> Double.isNaN(a) ? b : Double.isNaN(b) ? a : Math.max(a, b);
      case MIN -> Double.isNaN(a) ? b : Double.isNaN(b) ? a : Math.min(a, b);
    };
  }
}
