package dev.heddle.runtime.cuda;

import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import org.jspecify.annotations.Nullable;

/**
 * The matrix products of a {@link Kernels} table on a GPU. Arguments, shapes, strides and errors
 * are those of the methods of the same name there, and implementations check them with the same
 * words.
 *
 * <p>A call enqueues work on the device's stream and returns; host memory that it is given is read
 * before it returns. Like a table it belongs to one rank thread.
 */
public interface CudaProducts {
  /** What computes the products, such as {@code cuBLAS 12.4.5}, for names of tables. */
  String name();

  /** See {@link Kernels#gemm}. */
  void gemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c);

  /** See {@link Kernels#batchedGemm}. */
  void batchedGemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c);

  /** See {@link Kernels#linear}. */
  void linear(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation);

  /** See {@link Kernels#linearParameterGradients}; in one pass over dz where cuBLASLt can. */
  void linearParameterGradients(NDArray dz, NDArray x, NDArray dw, NDArray db);
}
