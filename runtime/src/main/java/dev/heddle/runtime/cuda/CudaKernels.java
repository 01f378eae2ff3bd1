package dev.heddle.runtime.cuda;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.OptimizerChecks;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The kernels of a GPU for one dtype: F32, BF16 and F64, and for the integer types what {@link
 * Kernels} has for them. Calls queue work on the device's stream and return; only {@link
 * #sumOfSquares} waits. Products are cuBLAS's; all else is our own code, in a class a family:
 * {@link CudaElementwiseKernels}, {@link CudaMovementKernels}, {@link CudaScatterKernels}, {@link
 * CudaReductionKernels}, {@link CudaSoftmaxKernels}, {@link CudaNormKernels}, {@link
 * CudaRotaryKernels}, {@link CudaAttentionKernels}, {@link CudaUpdateKernels}, {@link
 * CudaStepKernels}.
 *
 * <p>A family's PTX is compiled by the driver when one of its kernels is first called: a second or
 * two the first time on a machine, then from the driver's cache. Head sizes of attention go up to
 * 256 (F64: 128).
 *
 * <p>A row number out of range is seen by the GPU only, after the call has returned. The {@link
 * IndexOutOfBoundsException} of {@link #gatherRows}, {@link #scatterAddRows} and {@link #localRows}
 * then comes from the next of these calls, synchronisation or read of a value that finds it; such a
 * row is taken as zeros, or added nowhere, until then.
 */
public final class CudaKernels implements Kernels {
  private final DType dtype;
  private final CudaLauncher launcher;
  private final Supplier<CudaProducts> library;

  // Each is made at its first use, so that what is not used is not compiled.
  private @Nullable CudaProducts products;
  private @Nullable CudaMovementKernels movement;
  private @Nullable CudaScatterKernels scatter;
  private @Nullable CudaElementwiseKernels elementwise;
  private @Nullable CudaReductionKernels reductions;
  private @Nullable CudaSoftmaxKernels softmax;
  private @Nullable CudaNormKernels norms;
  private @Nullable CudaRotaryKernels rotary;
  private @Nullable CudaAttentionKernels attention;
  private @Nullable CudaUpdateKernels updates;
  private @Nullable CudaStepKernels steps;

  /** The table of a device for {@code dtype}. */
  public CudaKernels(CudaDevice device, DType dtype) {
    this(new GpuLauncher(device, dtype), () -> new CublasProducts(device, dtype));
  }

  /**
   * A table whose kernels go where {@code launcher} sends them.
   *
   * @param library makes the products when the first is asked for
   */
  CudaKernels(CudaLauncher launcher, Supplier<CudaProducts> library) {
    this.dtype = launcher.dtype();
    this.launcher = launcher;
    this.library = library;
  }

  @Override
  public String name() {
    return "CUDA" + (products == null ? "" : " + " + products.name());
  }

  // ---- the families

  private CudaProducts products() {
    CudaProducts made = products;
    if (made == null) {
      made = library.get();
      products = made;
    }
    return made;
  }

  private CudaMovementKernels movement() {
    CudaMovementKernels made = movement;
    if (made == null) {
      made = new CudaMovementKernels(launcher);
      movement = made;
    }
    return made;
  }

  private CudaScatterKernels scatter() {
    CudaScatterKernels made = scatter;
    if (made == null) {
      made = new CudaScatterKernels(launcher);
      scatter = made;
    }
    return made;
  }

  private CudaElementwiseKernels elementwise() {
    CudaElementwiseKernels made = elementwise;
    if (made == null) {
      made = new CudaElementwiseKernels(launcher);
      elementwise = made;
    }
    return made;
  }

  private CudaReductionKernels reductions() {
    CudaReductionKernels made = reductions;
    if (made == null) {
      made = new CudaReductionKernels(launcher);
      reductions = made;
    }
    return made;
  }

  private CudaSoftmaxKernels softmax() {
    CudaSoftmaxKernels made = softmax;
    if (made == null) {
      made = new CudaSoftmaxKernels(launcher);
      softmax = made;
    }
    return made;
  }

  private CudaNormKernels norms() {
    CudaNormKernels made = norms;
    if (made == null) {
      made = new CudaNormKernels(launcher, reductions());
      norms = made;
    }
    return made;
  }

  private CudaRotaryKernels rotary() {
    CudaRotaryKernels made = rotary;
    if (made == null) {
      made = new CudaRotaryKernels(launcher);
      rotary = made;
    }
    return made;
  }

  private CudaAttentionKernels attention() {
    CudaAttentionKernels made = attention;
    if (made == null) {
      made = new CudaAttentionKernels(launcher);
      attention = made;
    }
    return made;
  }

  private CudaUpdateKernels updates() {
    CudaUpdateKernels made = updates;
    if (made == null) {
      made = new CudaUpdateKernels(launcher);
      updates = made;
    }
    return made;
  }

  private CudaStepKernels steps() {
    CudaStepKernels made = steps;
    if (made == null) {
      made = new CudaStepKernels(launcher);
      steps = made;
    }
    return made;
  }

  private void mine(String kernel, String argument, NDArray x) {
    KernelChecks.tableType(kernel, argument, x, dtype);
  }

  // ---- data movement

  @Override
  public void fill(NDArray y, double value) {
    KernelChecks.fill(y, value);
    movement().fill(y, value);
  }

  @Override
  public void copy(NDArray x, NDArray y) {
    KernelChecks.copy(x, y);
    movement().copy(x, y);
  }

  @Override
  public void gatherRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.gatherRows(x, rows, y);
    movement().gatherRows(x, rows, y);
  }

  @Override
  public void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.scatterAddRows(x, rows, y);
    mine("scatterAddRows", "x", x);
    scatter().scatterAddRows(x, rows, y);
  }

  @Override
  public void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    KernelChecks.localRows(rows, first, count, all, local);
    movement().localRows(rows, first, count, all, local);
  }

  // ---- element-wise

  @Override
  public void unary(UnaryOperation op, NDArray x, NDArray y) {
    KernelChecks.unary(op, x, y);
    mine("unary", "x", x);
    elementwise().unary(op, x, y);
  }

  @Override
  public void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    KernelChecks.unaryBackward(op, x, dy, dx);
    mine("unaryBackward", "x", x);
    elementwise().unaryBackward(op, x, dy, dx);
  }

  @Override
  public void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    KernelChecks.binary(op, a, b, y);
    mine("binary", "a", a);
    elementwise().binary(op, a, b, y);
  }

  @Override
  public void scale(NDArray x, double alpha, NDArray y) {
    KernelChecks.scale(x, alpha, y);
    mine("scale", "x", x);
    elementwise().scale(x, alpha, y);
  }

  @Override
  public void addScaled(NDArray x, double alpha, NDArray y) {
    KernelChecks.addScaled(x, alpha, y);
    mine("addScaled", "x", x);
    elementwise().addScaled(x, alpha, y);
  }

  @Override
  public void swiglu(NDArray gate, NDArray up, NDArray y) {
    KernelChecks.swiglu(gate, up, y);
    mine("swiglu", "gate", gate);
    elementwise().swiglu(gate, up, y);
  }

  @Override
  public void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    KernelChecks.swigluBackward(gate, up, dy, dgate, dup);
    mine("swigluBackward", "gate", gate);
    elementwise().swigluBackward(gate, up, dy, dgate, dup);
  }

  // ---- reductions

  @Override
  public void sumTo(NDArray x, NDArray y) {
    KernelChecks.sumTo(x, y);
    mine("sumTo", "x", x);
    reductions().sumTo(x, y);
  }

  @Override
  public double sumOfSquares(List<NDArray> arrays) {
    KernelChecks.sumOfSquares(arrays);
    for (int i = 0; i < arrays.size(); i++) {
      mine("sumOfSquares", "an array", arrays.get(i));
    }
    return arrays.isEmpty() ? 0 : reductions().sumOfSquares(arrays);
  }

  @Override
  public void sumOfSquares(List<NDArray> arrays, NDArray sum) {
    KernelChecks.sumOfSquares(arrays, sum);
    for (int i = 0; i < arrays.size(); i++) {
      mine("sumOfSquares", "an array", arrays.get(i));
    }
    if (arrays.isEmpty() || !reductions().sumOfSquares(arrays, sum)) {
      fill(sum, 0);
    }
  }

  @Override
  public void argmaxRows(NDArray x, NDArray y) {
    KernelChecks.argmaxRows(x, y);
    mine("argmaxRows", "x", x);
    reductions().argmaxRows(x, y);
  }

  // ---- products

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
    mine("gemm", "a", a);
    products().gemm(a, transposeA, b, transposeB, alpha, beta, c);
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
    mine("batchedGemm", "a", a);
    products().batchedGemm(a, transposeA, b, transposeB, alpha, beta, c);
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
    mine("linear", "x", x);
    products().linear(x, w, bias, activation, y, preActivation);
  }

  @Override
  public void linearParameterGradients(NDArray dz, NDArray x, NDArray dw, NDArray db) {
    mine("linearParameterGradients", "dz", dz);
    products().linearParameterGradients(dz, x, dw, db);
  }

  // ---- rows

  @Override
  public void softmax(NDArray x, NDArray y) {
    KernelChecks.softmax(x, y);
    mine("softmax", "x", x);
    softmax().softmax(x, y);
  }

  @Override
  public void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    KernelChecks.softmaxBackward(y, dy, dx);
    mine("softmaxBackward", "y", y);
    softmax().softmaxBackward(y, dy, dx);
  }

  @Override
  public void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd) {
    KernelChecks.layerNorm(x, weight, bias, epsilon, y, mean, rstd);
    mine("layerNorm", "x", x);
    norms().layerNorm(x, weight, bias, epsilon, y, mean, rstd);
  }

  @Override
  public void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    KernelChecks.layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
    mine("layerNormBackward", "x", x);
    norms().layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
  }

  @Override
  public void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    KernelChecks.rmsNorm(x, weight, epsilon, y, rstd);
    mine("rmsNorm", "x", x);
    norms().rmsNorm(x, weight, epsilon, y, rstd);
  }

  @Override
  public void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    KernelChecks.rmsNormBackward(x, weight, rstd, dy, dx, dweight);
    mine("rmsNormBackward", "x", x);
    norms().rmsNormBackward(x, weight, rstd, dy, dx, dweight);
  }

  // ---- attention

  @Override
  public void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    KernelChecks.rotary(x, cos, sin, inverse, y);
    mine("rotary", "x", x);
    rotary().rotary(x, cos, sin, inverse, y);
  }

  @Override
  public void attention(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray out,
      NDArray logSumExp) {
    KernelChecks.attention(q, k, v, mask, scale, out, logSumExp);
    mine("attention", "q", q);
    attention().attention(q, k, v, mask, scale, out, logSumExp);
  }

  @Override
  public void attentionBackward(
      NDArray q,
      NDArray k,
      NDArray v,
      NDArray out,
      NDArray logSumExp,
      NDArray dout,
      AttentionMask mask,
      double scale,
      NDArray dq,
      NDArray dk,
      NDArray dv) {
    KernelChecks.attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv);
    mine("attentionBackward", "q", q);
    attention().attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv);
  }

  // ---- loss

  @Override
  public void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    KernelChecks.crossEntropy(logits, targets, firstColumn, classes, logSumExp, targetLogit);
    mine("crossEntropy", "logits", logits);
    softmax().crossEntropy(logits, targets, firstColumn, classes, logSumExp, targetLogit);
  }

  @Override
  public void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits) {
    KernelChecks.crossEntropyBackward(logits, targets, firstColumn, logSumExp, dloss, dlogits);
    mine("crossEntropyBackward", "logits", logits);
    softmax().crossEntropyBackward(logits, targets, firstColumn, logSumExp, dloss, dlogits);
  }

  // ---- optimizer

  @Override
  public void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy) {
    OptimizerChecks.adamW(step, weight, gradient, firstMoment, secondMoment, copy);
    mine("adamW", "gradient", gradient);
    updates().adamW(step, weight, gradient, firstMoment, secondMoment, copy);
  }

  @Override
  public void adamW(AdamWStep constants, List<AdamWTensor> tensors, NDArray update) {
    OptimizerChecks.adamW(tensors, update);
    if (!tensors.isEmpty()) {
      mine("adamW", "gradient 0", tensors.get(0).gradient());
      updates().adamW(constants, tensors, update);
    }
  }

  @Override
  public void concludeStep(NDArray control, NDArray state) {
    OptimizerChecks.concludeStep(control, state);
    mine("concludeStep", "control", control);
    steps().conclude(control, state);
  }

  // ---- random

  @Override
  public void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    KernelChecks.randomUniform(key, index, low, high, y);
    mine("randomUniform", "y", y);
    updates().randomUniform(key, index, low, high, y);
  }

  @Override
  public void randomNormal(
      RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    KernelChecks.randomNormal(key, index, mean, deviation, y);
    mine("randomNormal", "y", y);
    updates().randomNormal(key, index, mean, deviation, y);
  }

  @Override
  public void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    KernelChecks.dropout(key, index, probability, x, y);
    mine("dropout", "x", x);
    updates().dropout(key, index, probability, x, y);
  }
}
