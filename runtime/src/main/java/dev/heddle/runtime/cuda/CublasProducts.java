package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Products by cuBLAS, and by cuBLASLt where a bias (and more) can be added within the product. F32,
 * BF16 with F32 sums, and F64, which has no fused forms.
 *
 * <p>What the library does not do is left to the device's other kernels: products without an inner
 * size, exact activations (see {@link ProductOptions}), and the bias of forms that the library
 * refuses.
 */
public final class CublasProducts implements CudaProducts {
  /** The auxiliary matrix of a GELU epilogue: what its leading dimension is a multiple of. */
  private static final long AUXILIARY_MULTIPLE = 8;

  private static final long AUXILIARY_ALIGNMENT = 16;

  private final Device device;
  private final DType dtype;
  private final Supplier<? extends ProductQueue> queue;
  private final ProductOptions options;
  private final Gemm gemm;
  private final MatmulForm form = new MatmulForm();

  /**
   * The products of a GPU for one dtype. All of a device share a handle for each stream, which the
   * device closes.
   *
   * @throws IllegalStateException if there is no cuBLAS, with every name tried and what to do
   * @throws IllegalArgumentException if {@code dtype} is no floating type
   */
  public CublasProducts(CudaDevice device, DType dtype) {
    this(
        device,
        dtype,
        device.attachment(CublasStreams.class, CublasStreams::open),
        () -> {
          device.context().makeCurrent();
          return device.stream().address().address();
        });
  }

  /**
   * @param device whose kernels do what the library does not
   * @param stream address of the stream to compute on, asked at every call; makes its context
   *     current
   */
  CublasProducts(Device device, DType dtype, CublasStreams streams, LongSupplier stream) {
    this(device, dtype, streams.options(), () -> streams.of(stream.getAsLong()));
  }

  /**
   * @param device whose kernels do what the library does not
   * @param queue where products go, asked at every call
   */
  CublasProducts(
      Device device, DType dtype, ProductOptions options, Supplier<? extends ProductQueue> queue) {
    this.device = device;
    this.dtype = dtype;
    this.queue = queue;
    this.options = options;
    int type =
        switch (dtype) {
          case F32 -> Cublas.CUDA_R_32F();
          case BF16 -> Cublas.CUDA_R_16BF();
          case F64 -> Cublas.CUDA_R_64F();
          case I32, I64, U8 ->
              throw new IllegalArgumentException(
                  "CublasProducts: " + dtype + "; wanted F32, BF16 or F64");
        };
    int computeType =
        dtype == DType.F64
            ? Cublas.CUBLAS_COMPUTE_64F()
            : dtype == DType.F32 && options.tf32()
                ? Cublas.CUBLAS_COMPUTE_32F_FAST_TF32()
                : Cublas.CUBLAS_COMPUTE_32F();
    gemm = new Gemm(type, computeType);
    form.type = type;
    form.computeType = computeType;
    form.scaleType = Cublas.CUDA_R_32F();
  }

  @Override
  public String name() {
    return queue.get().name();
  }

  @Override
  public void gemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    KernelChecks.gemm(a, transposeA, b, transposeB, alpha, beta, c);
    multiply(a, transposeA, b, transposeB, alpha, beta, c);
  }

  @Override
  public void batchedGemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    KernelChecks.batchedGemm(a, transposeA, b, transposeB, alpha, beta, c);
    multiply(a, transposeA, b, transposeB, alpha, beta, c);
  }

  private void multiply(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    if (c.size() == 0) {
      return;
    }
    if (a.size() == 0) {
      scale(c, beta);
      return;
    }
    gemm.set(a, transposeA, b, transposeB, c);
    queue.get().multiply(gemm, alpha, beta);
  }

  /** c = beta c, not even NaN being left by beta 0: a product without an inner size. */
  private void scale(NDArray c, double beta) {
    Kernels kernels = kernels();
    if (beta == 0) {
      kernels.fill(c, 0);
    } else if (c.isContiguous()) {
      kernels.scale(c, beta, c);
    } else {
      NDArray packed = c.contiguous();
      kernels.scale(packed, beta, packed);
      kernels.copy(packed, c);
      packed.free();
    }
  }

  @Override
  public void linear(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation) {
    KernelChecks.linear(x, w, bias, activation, y, preActivation);
    if (y.size() == 0) {
      return;
    }
    if (activates(activation, y, preActivation)
        && fused(
            x, w, bias, activationEpilogue(activation, bias, preActivation), y, preActivation)) {
      return;
    }
    NDArray sums = preActivation == null ? y : preActivation;
    if (bias == null) {
      multiply(x, false, w, true, 1, 0, sums);
    } else if (!fused(x, w, bias, Cublas.CUBLASLT_EPILOGUE_BIAS(), sums, null)) {
      multiply(x, false, w, true, 1, 0, sums);
      kernels().binary(BinaryOperation.ADD, sums, bias, sums);
    }
    if (activation != UnaryOperation.IDENTITY) {
      kernels().unary(activation, sums, y);
    }
  }

  /** Whether an epilogue may compute this activation, and can write what is wanted besides. */
  private boolean activates(UnaryOperation activation, NDArray y, @Nullable NDArray preActivation) {
    if (!options.activationEpilogues()) {
      return false;
    }
    return switch (activation) {
      // Its auxiliary is a mask of bits, not the pre-activation.
      case RELU -> preActivation == null;
      case GELU ->
          dtype == DType.BF16
              && (preActivation == null
                  || (y.dim(1) % AUXILIARY_MULTIPLE == 0
                      && preActivation.address() % AUXILIARY_ALIGNMENT == 0));
      default -> false;
    };
  }

  private static int activationEpilogue(
      UnaryOperation activation, @Nullable NDArray bias, @Nullable NDArray preActivation) {
    if (activation == UnaryOperation.RELU) {
      return bias == null ? Cublas.CUBLASLT_EPILOGUE_RELU() : Cublas.CUBLASLT_EPILOGUE_RELU_BIAS();
    }
    if (preActivation == null) {
      return bias == null ? Cublas.CUBLASLT_EPILOGUE_GELU() : Cublas.CUBLASLT_EPILOGUE_GELU_BIAS();
    }
    return bias == null
        ? Cublas.CUBLASLT_EPILOGUE_GELU_AUX()
        : Cublas.CUBLASLT_EPILOGUE_GELU_AUX_BIAS();
  }

  /** y = epilogue(x wᵀ, bias); false, with nothing done, where the library cannot do it. */
  private boolean fused(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      int epilogue,
      NDArray y,
      @Nullable NDArray auxiliary) {
    if (dtype == DType.F64 || x.dim(1) == 0) {
      return false;
    }
    // Column-major: yᵀ [N,R] = op(w as [K,N])ᵀ (x as [K,R]).
    form.transposeA = Cublas.CUBLAS_OP_T();
    form.transposeB = Cublas.CUBLAS_OP_N();
    form.m = y.dim(1);
    form.n = y.dim(0);
    form.k = x.dim(1);
    return matmul(w, x, epilogue, y, bias, auxiliary);
  }

  @Override
  public void linearParameterGradients(NDArray dz, NDArray x, NDArray dw, NDArray db) {
    KernelChecks.gemm(dz, true, x, false, 1, 0, dw);
    KernelChecks.sumTo(dz, db);
    // Column-major: dwᵀ [K,N] = (x as [K,R]) (dz as [N,R])ᵀ; db sums dz, which is B, over R.
    boolean fused = false;
    if (dtype != DType.F64 && dz.size() > 0 && x.size() > 0) {
      form.transposeA = Cublas.CUBLAS_OP_N();
      form.transposeB = Cublas.CUBLAS_OP_T();
      form.m = x.dim(1);
      form.n = dz.dim(1);
      form.k = dz.dim(0);
      fused = matmul(x, dz, Cublas.CUBLASLT_EPILOGUE_BGRADB(), dw, db, null);
    }
    if (!fused) {
      multiply(dz, true, x, false, 1, 0, dw);
      kernels().sumTo(dz, db);
    }
  }

  /** Computes the product whose transposes and sizes are in the form already. */
  private boolean matmul(
      NDArray a,
      NDArray b,
      int epilogue,
      NDArray d,
      @Nullable NDArray bias,
      @Nullable NDArray auxiliary) {
    long aAddress = a.address();
    long bAddress = b.address();
    long dAddress = d.address();
    long biasAddress = bias == null ? 0 : bias.address();
    long auxiliaryAddress = auxiliary == null ? 0 : auxiliary.address();
    form.epilogue = epilogue;
    form.lda = Gemm.leading(a);
    form.ldb = Gemm.leading(b);
    form.ldd = Gemm.leading(d);
    form.alignmentA = MatmulForm.alignment(aAddress);
    form.alignmentB = MatmulForm.alignment(bAddress);
    form.alignmentD = MatmulForm.alignment(dAddress);
    form.alignmentBias = MatmulForm.alignmentBeside(biasAddress);
    form.alignmentAuxiliary = MatmulForm.alignmentBeside(auxiliaryAddress);
    return queue.get().multiply(form, biasAddress, auxiliaryAddress, aAddress, bAddress, dAddress);
  }

  private Kernels kernels() {
    return device.kernels(dtype);
  }
}
