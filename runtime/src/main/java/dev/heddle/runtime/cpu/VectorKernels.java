package dev.heddle.runtime.cpu;

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
import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryPool;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The fast kernels for F32: Vector API, fused, cut into chunks for the rank's threads. The work is
 * in a class a family: {@link VectorGemm} and {@link PackedMultiply}, {@link VectorAttention},
 * {@link VectorNorms}, {@link VectorSoftmax}, {@link VectorElementwise}, {@link VectorBroadcast},
 * {@link VectorMovement}, {@link VectorUpdates}. What is rare and slow by nature is left to {@link
 * ReferenceKernels}.
 */
final class VectorKernels implements Kernels {
  private final Kernels fallback = new ReferenceKernels();
  private final VectorGemm gemm;
  private final VectorElementwise elementwise;
  private final VectorMovement movement;
  private final VectorUpdates updates;
  private final VectorBroadcast broadcast;
  private final VectorSums sums;
  private final VectorSoftmax softmax;
  private final VectorNorms norms;
  private final VectorRotary rotary;
  private final VectorAttention attention;
  private final VectorAttentionBackward attentionBackward;

  /**
   * @param workers the rank's threads
   * @param memory where scratch comes from
   * @param multiply how products are computed
   * @param machine element-wise loops by machine code, null for Java
   */
  VectorKernels(
      WorkerPool workers,
      MemoryPool memory,
      MatrixMultiply multiply,
      @Nullable MachineLoops machine) {
    this.gemm = new VectorGemm(multiply);
    this.elementwise = new VectorElementwise(workers, machine);
    this.movement = new VectorMovement(workers);
    this.updates = new VectorUpdates(workers, machine);
    this.broadcast = new VectorBroadcast(workers, machine);
    ColumnSums columnSums = new ColumnSums(workers, memory, machine);
    this.sums = new VectorSums(workers, memory, columnSums);
    this.softmax = new VectorSoftmax(workers, memory, machine != null);
    this.norms = new VectorNorms(workers, memory, columnSums, machine != null);
    this.rotary = new VectorRotary(workers);
    this.attention = new VectorAttention(workers, memory, machine != null);
    this.attentionBackward = new VectorAttentionBackward(workers, memory, machine != null);
  }

  @Override
  public String name() {
    return "vector (" + Lanes.SPECIES.vectorBitSize() + " bit, " + gemm.multiply().name() + ")";
  }

  @Override
  public void fill(NDArray y, double value) {
    KernelChecks.fill(y, value);
    if (VectorMovement.canFill(y)) {
      movement.fill(y, value);
    } else {
      fallback.fill(y, value);
    }
  }

  @Override
  public void copy(NDArray x, NDArray y) {
    KernelChecks.copy(x, y);
    if (VectorMovement.canCopy(x, y)) {
      movement.copy(x, y);
    } else if (y.dtype() == DType.BF16) {
      Bf16Conversion.copy(x, y);
    } else {
      fallback.copy(x, y);
    }
  }

  @Override
  public void gatherRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.gatherRows(x, rows, y);
    movement.gatherRows(x, rows, y);
  }

  @Override
  public void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.scatterAddRows(x, rows, y);
    movement.scatterAddRows(x, rows, y);
  }

  @Override
  public void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    KernelChecks.localRows(rows, first, count, all, local);
    movement.localRows(rows, first, count, all, local);
  }

  @Override
  public void unary(UnaryOperation op, NDArray x, NDArray y) {
    KernelChecks.unary(op, x, y);
    elementwise.unary(op, x, y);
  }

  @Override
  public void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    KernelChecks.unaryBackward(op, x, dy, dx);
    elementwise.unaryBackward(op, x, dy, dx);
  }

  @Override
  public void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    KernelChecks.binary(op, a, b, y);
    broadcast.binary(op, a, b, y);
  }

  @Override
  public void scale(NDArray x, double alpha, NDArray y) {
    KernelChecks.scale(x, alpha, y);
    elementwise.scale(x, alpha, y);
  }

  @Override
  public void addScaled(NDArray x, double alpha, NDArray y) {
    KernelChecks.addScaled(x, alpha, y);
    elementwise.addScaled(x, alpha, y);
  }

  @Override
  public void swiglu(NDArray gate, NDArray up, NDArray y) {
    KernelChecks.swiglu(gate, up, y);
    elementwise.swiglu(gate, up, y);
  }

  @Override
  public void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    KernelChecks.swigluBackward(gate, up, dy, dgate, dup);
    elementwise.swigluBackward(gate, up, dy, dgate, dup);
  }

  @Override
  public void sumTo(NDArray x, NDArray y) {
    KernelChecks.sumTo(x, y);
    if (!sums.sumTo(x, y)) {
      fallback.sumTo(x, y);
    }
  }

  @Override
  public double sumOfSquares(List<NDArray> arrays) {
    KernelChecks.sumOfSquares(arrays);
    return sums.sumOfSquares(arrays);
  }

  @Override
  public void argmaxRows(NDArray x, NDArray y) {
    KernelChecks.argmaxRows(x, y);
    softmax.argmaxRows(x, y);
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
    gemm.gemm(a, transposeA, b, transposeB, alpha, beta, c);
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
    gemm.batchedGemm(a, transposeA, b, transposeB, alpha, beta, c);
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
    gemm.linear(x, w, bias, activation, y, preActivation);
  }

  @Override
  public void softmax(NDArray x, NDArray y) {
    KernelChecks.softmax(x, y);
    softmax.softmax(x, y);
  }

  @Override
  public void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    KernelChecks.softmaxBackward(y, dy, dx);
    softmax.softmaxBackward(y, dy, dx);
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
    norms.layerNorm(x, weight, bias, epsilon, y, mean, rstd);
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
    norms.layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
  }

  @Override
  public void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    KernelChecks.rmsNorm(x, weight, epsilon, y, rstd);
    norms.rmsNorm(x, weight, epsilon, y, rstd);
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
    norms.rmsNormBackward(x, weight, rstd, dy, dx, dweight);
  }

  @Override
  public void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    KernelChecks.rotary(x, cos, sin, inverse, y);
    rotary.rotary(x, cos, sin, inverse, y);
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
    attention.attention(q, k, v, mask, scale, out, logSumExp);
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
    attentionBackward.attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv);
  }

  @Override
  public void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    KernelChecks.crossEntropy(logits, targets, firstColumn, classes, logSumExp, targetLogit);
    softmax.crossEntropy(logits, targets, firstColumn, classes, logSumExp, targetLogit);
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
    softmax.crossEntropyBackward(logits, targets, firstColumn, logSumExp, dloss, dlogits);
  }

  @Override
  public void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy) {
    OptimizerChecks.adamW(step, weight, gradient, firstMoment, secondMoment, copy);
    updates.adamW(step, weight, gradient, firstMoment, secondMoment);
  }

  @Override
  public void adamW(AdamWStep step, List<AdamWTensor> tensors) {
    OptimizerChecks.adamW(step, tensors);
    updates.adamW(step, step.withoutDecay(), tensors);
  }

  @Override
  public void adamW(AdamWStep constants, List<AdamWTensor> tensors, NDArray update) {
    OptimizerChecks.adamW(tensors, update);
    double[] numbers = update.toDoubles();
    if (numbers[StepControl.GO] != 0) {
      AdamWStep decaying = constants.with(numbers, constants.weightDecay());
      updates.adamW(decaying, constants.with(numbers, 0), tensors);
    }
  }

  @Override
  public void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    KernelChecks.randomUniform(key, index, low, high, y);
    if (y.isContiguous()) {
      updates.uniform(key, index, low, high, y);
    } else {
      fallback.randomUniform(key, index, low, high, y);
    }
  }

  @Override
  public void randomNormal(
      RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    KernelChecks.randomNormal(key, index, mean, deviation, y);
    if (y.isContiguous()) {
      updates.normal(key, index, mean, deviation, y);
    } else {
      fallback.randomNormal(key, index, mean, deviation, y);
    }
  }

  @Override
  public void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    KernelChecks.dropout(key, index, probability, x, y);
    updates.dropout(key, index, probability, x, y);
  }
}
