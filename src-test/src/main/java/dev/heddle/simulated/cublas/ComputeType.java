package dev.heddle.simulated.cublas;

import dev.heddle.bindings.cublas.Cublas;

/** How sums of products are formed, {@code cublasComputeType_t}. */
enum ComputeType {
  F32(Cublas.CUBLAS_COMPUTE_32F()),
  TF32(Cublas.CUBLAS_COMPUTE_32F_FAST_TF32()),
  F64(Cublas.CUBLAS_COMPUTE_64F());

  private static final int TF32_DROPPED_BITS = 13;

  private final int code;

  ComputeType(int code) {
    this.code = code;
  }

  /** The table of combinations of the libraries' manuals, as far as it is simulated. */
  static ComputeType of(int code, ElementType a, ElementType b, ElementType c) {
    for (ComputeType type : values()) {
      if (type.code == code) {
        boolean known =
            a == b
                && switch (type) {
                  case F32 ->
                      a == ElementType.F32 && c == ElementType.F32
                          || a == ElementType.BF16 && c != ElementType.F64;
                  case TF32 -> a == ElementType.F32 && c == ElementType.F32;
                  case F64 -> a == ElementType.F64 && c == ElementType.F64;
                };
        if (!known) {
          throw Refusal.unsupported("compute type %s with A %s, B %s, C %s", type, a, b, c);
        }
        return type;
      }
    }
    throw Refusal.unsupported("compute type %d is not simulated", code);
  }

  /** op(A) [m,k] op(B) [k,n], all column by column; the values of A and B may be rounded. */
  double[] multiply(double[] a, double[] b, int m, int n, int k) {
    return this == F64 ? multiplyDoubles(a, b, m, n, k) : multiplyFloats(a, b, m, n, k);
  }

  private static double[] multiplyDoubles(double[] a, double[] b, int m, int n, int k) {
    double[] c = new double[m * n];
    for (int column = 0; column < n; column++) {
      for (int depth = 0; depth < k; depth++) {
        double factor = b[column * k + depth];
        for (int row = 0; row < m; row++) {
          c[column * m + row] += a[depth * m + row] * factor;
        }
      }
    }
    return c;
  }

  private double[] multiplyFloats(double[] a, double[] b, int m, int n, int k) {
    float[] left = rounded(a);
    float[] right = rounded(b);
    float[] sums = new float[m];
    double[] c = new double[m * n];
    for (int column = 0; column < n; column++) {
      java.util.Arrays.fill(sums, 0);
      for (int depth = 0; depth < k; depth++) {
        float factor = right[column * k + depth];
        int at = depth * m;
        for (int row = 0; row < m; row++) {
          sums[row] += left[at + row] * factor;
        }
      }
      for (int row = 0; row < m; row++) {
        c[column * m + row] = sums[row];
      }
    }
    return c;
  }

  private float[] rounded(double[] values) {
    float[] result = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      float value = (float) values[i];
      result[i] = this == TF32 ? toTf32(value) : value;
    }
    return result;
  }

  /** To 10 fraction bits, nearest even. */
  private static float toTf32(float value) {
    if (!Float.isFinite(value)) {
      return value;
    }
    int bits = Float.floatToRawIntBits(value);
    int half = (1 << (TF32_DROPPED_BITS - 1)) - 1 + ((bits >>> TF32_DROPPED_BITS) & 1);
    return Float.intBitsToFloat((bits + half) & -(1 << TF32_DROPPED_BITS));
  }

  /** {@code alpha sum + beta before} in the type of computation. */
  double combine(double alpha, double sum, double beta, double before) {
    if (this == F64) {
      return beta == 0 ? alpha * sum : alpha * sum + beta * before;
    }
    float scaled = (float) alpha * (float) sum;
    return beta == 0 ? scaled : scaled + (float) beta * (float) before;
  }
}
