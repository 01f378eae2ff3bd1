package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import org.jspecify.annotations.Nullable;

/**
 * The product primitives: arrays become a {@link Product} for the {@link MatrixMultiply} chosen.
 */
final class VectorGemm {
  private final MatrixMultiply multiply;
  private final Product product = new Product();

  VectorGemm(MatrixMultiply multiply) {
    this.multiply = multiply;
  }

  MatrixMultiply multiply() {
    return multiply;
  }

  void gemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    product.describe(a, transposeA, b, transposeB, alpha, beta, c);
    run();
  }

  void batchedGemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    product.describe(a, transposeA, b, transposeB, alpha, beta, c);
    run();
  }

  void linear(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation) {
    NDArray sums = preActivation == null ? y : preActivation;
    product.describe(x, false, w, true, 1, 0, sums);
    product.bias = bias == null ? 0 : bias.address();
    product.activation = activation;
    product.activated = y.address();
    run();
  }

  private void run() {
    Product p = product;
    if (p.rows == 0 || p.columns == 0 || p.batch == 0) {
      return;
    }
    if (p.depth == 0 || p.alpha == 0) {
      withoutProduct(p);
    } else {
      multiply.multiply(p);
    }
  }

  /** An empty sum of products: only beta c and the bias are left. */
  private static void withoutProduct(Product p) {
    int columns = Math.toIntExact(p.columns);
    for (long i = 0; i < p.batch; i++) {
      for (long row = 0; row < p.rows; row++) {
        long at = p.c + i * p.cBatchStride + row * p.cStride;
        if (p.bias != 0) {
          Tiles.copy(p.bias, at, columns);
        } else if (p.beta == 0) {
          Tiles.fill(at, columns, 0);
        } else {
          VectorArithmetic.scale(at, p.beta, at, columns);
        }
        if (p.activation != UnaryOperation.IDENTITY) {
          VectorUnary.apply(p.activation, at, p.activated + row * p.cStride, columns);
        }
      }
    }
  }
}
