package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import org.jspecify.annotations.Nullable;

/** Matrix products: the plain triple loop in double precision. */
final class ReferenceProducts {
  private ReferenceProducts() {}

  static void gemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    double[] left = HostValues.readMatrix(a, transposeA);
    double[] right = HostValues.readMatrix(b, transposeB);
    int m = Math.toIntExact(c.dim(-2));
    int n = Math.toIntExact(c.dim(-1));
    int k = Math.toIntExact(transposeA ? a.dim(-2) : a.dim(-1));
    int batch = c.rank() == 3 ? Math.toIntExact(c.dim(0)) : 1;
    double[] product = new double[batch * m * n];
    for (int i = 0; i < batch; i++) {
      multiply(left, i * m * k, right, i * k * n, product, i * m * n, m, n, k);
    }
    if (beta == 0) {
      // What c held does not matter, not even NaN.
      for (int i = 0; i < product.length; i++) {
        product[i] *= alpha;
      }
    } else {
      double[] before = HostValues.read(c);
      for (int i = 0; i < product.length; i++) {
        product[i] = alpha * product[i] + beta * before[i];
      }
    }
    HostValues.write(product, c);
  }

  static void linear(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation) {
    double[] input = HostValues.read(x);
    double[] weight = HostValues.readMatrix(w, true);
    int n = Math.toIntExact(w.dim(0));
    int k = Math.toIntExact(w.dim(1));
    int rows = Math.toIntExact(y.shape().rows());
    double[] values = new double[rows * n];
    multiply(input, 0, weight, 0, values, 0, rows, n, k);
    if (bias != null) {
      double[] shift = HostValues.read(bias);
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < n; j++) {
          values[i * n + j] += shift[j];
        }
      }
    }
    if (preActivation != null) {
      HostValues.write(values, preActivation);
    }
    ReferenceElementwise.apply(activation, values, values);
    HostValues.write(values, y);
  }

  /** c += a b for row-major a [m,k], b [k,n], c [m,n], each from its offset on. */
  private static void multiply(
      double[] a, int startA, double[] b, int startB, double[] c, int startC, int m, int n, int k) {
    for (int i = 0; i < m; i++) {
      int row = startC + i * n;
      int l = 0;
      // Four terms a pass over the row of c: the same sums in the same order, fewer stores.
      for (; l + 4 <= k; l += 4) {
        int factor = startA + i * k + l;
        double a0 = a[factor];
        double a1 = a[factor + 1];
        double a2 = a[factor + 2];
        double a3 = a[factor + 3];
        int b0 = startB + l * n;
        int b1 = b0 + n;
        int b2 = b1 + n;
        int b3 = b2 + n;
        for (int j = 0; j < n; j++) {
          c[row + j] =
              c[row + j] + a0 * b[b0 + j] + a1 * b[b1 + j] + a2 * b[b2 + j] + a3 * b[b3 + j];
        }
      }
      for (; l < k; l++) {
        double factor = a[startA + i * k + l];
        int other = startB + l * n;
        for (int j = 0; j < n; j++) {
          c[row + j] += factor * b[other + j];
        }
      }
    }
  }
}
