package dev.heddle.runtime.cpu;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.OptimizerChecks;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Slow, obvious kernels for every floating type: the control that everything is tested against.
 * Inputs are read to {@code double[]}, computed with in plain loops, and written back rounded to
 * the output's dtype, on the calling thread. One table serves F64, F32 and BF16; nothing here needs
 * the Vector API.
 */
public class ReferenceKernels implements Kernels {
  @Override
  public String name() {
    return "reference";
  }

  @Override
  public void fill(NDArray y, double value) {
    KernelChecks.fill(y, value);
    ReferenceMovement.fill(y, value);
  }

  @Override
  public void copy(NDArray x, NDArray y) {
    KernelChecks.copy(x, y);
    ReferenceMovement.copy(x, y);
  }

  @Override
  public void gatherRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.gatherRows(x, rows, y);
    ReferenceMovement.gatherRows(x, rows, y);
  }

  @Override
  public void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.scatterAddRows(x, rows, y);
    ReferenceMovement.scatterAddRows(x, rows, y);
  }

  @Override
  public void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    KernelChecks.localRows(rows, first, count, all, local);
    ReferenceMovement.localRows(rows, first, count, all, local);
  }

  @Override
  public void unary(UnaryOperation op, NDArray x, NDArray y) {
    KernelChecks.unary(op, x, y);
    ReferenceElementwise.unary(op, x, y);
  }

  @Override
  public void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    KernelChecks.unaryBackward(op, x, dy, dx);
    ReferenceElementwise.unaryBackward(op, x, dy, dx);
  }

  @Override
  public void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    KernelChecks.binary(op, a, b, y);
    ReferenceElementwise.binary(op, a, b, y);
  }

  @Override
  public void scale(NDArray x, double alpha, NDArray y) {
    KernelChecks.scale(x, alpha, y);
    ReferenceElementwise.scale(x, alpha, y);
  }

  @Override
  public void addScaled(NDArray x, double alpha, NDArray y) {
    KernelChecks.addScaled(x, alpha, y);
    ReferenceElementwise.addScaled(x, alpha, y);
  }

  @Override
  public void swiglu(NDArray gate, NDArray up, NDArray y) {
    KernelChecks.swiglu(gate, up, y);
    ReferenceElementwise.swiglu(gate, up, y);
  }

  @Override
  public void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    KernelChecks.swigluBackward(gate, up, dy, dgate, dup);
    ReferenceElementwise.swigluBackward(gate, up, dy, dgate, dup);
  }

  @Override
  public void sumTo(NDArray x, NDArray y) {
    KernelChecks.sumTo(x, y);
    ReferenceElementwise.sumTo(x, y);
  }

  @Override
  public double sumOfSquares(List<NDArray> arrays) {
    KernelChecks.sumOfSquares(arrays);
    return ReferenceElementwise.sumOfSquares(arrays);
  }

  @Override
  public void argmaxRows(NDArray x, NDArray y) {
    KernelChecks.argmaxRows(x, y);
    ReferenceRows.argmaxRows(x, y);
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
    ReferenceProducts.gemm(a, transposeA, b, transposeB, alpha, beta, c);
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
    ReferenceProducts.gemm(a, transposeA, b, transposeB, alpha, beta, c);
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
    ReferenceProducts.linear(x, w, bias, activation, y, preActivation);
  }

  @Override
  public void softmax(NDArray x, NDArray y) {
    KernelChecks.softmax(x, y);
    ReferenceRows.softmax(x, y);
  }

  @Override
  public void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    KernelChecks.softmaxBackward(y, dy, dx);
    ReferenceRows.softmaxBackward(y, dy, dx);
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
    ReferenceRows.layerNorm(x, weight, bias, epsilon, y, mean, rstd);
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
    ReferenceRows.layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
  }

  @Override
  public void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    KernelChecks.rmsNorm(x, weight, epsilon, y, rstd);
    ReferenceRows.rmsNorm(x, weight, epsilon, y, rstd);
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
    ReferenceRows.rmsNormBackward(x, weight, rstd, dy, dx, dweight);
  }

  @Override
  public void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    KernelChecks.rotary(x, cos, sin, inverse, y);
    ReferenceAttention.rotary(x, cos, sin, inverse, y);
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
    ReferenceAttention.attention(q, k, v, mask, scale, out, logSumExp);
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
    ReferenceAttention.attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv);
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
    ReferenceRows.crossEntropy(logits, targets, firstColumn, classes, logSumExp, targetLogit);
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
    ReferenceRows.crossEntropyBackward(logits, targets, firstColumn, logSumExp, dloss, dlogits);
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
    ReferenceUpdates.adamW(step, weight, gradient, firstMoment, secondMoment, copy);
  }

  @Override
  public void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    KernelChecks.randomUniform(key, index, low, high, y);
    ReferenceUpdates.randomUniform(key, index, low, high, y);
  }

  @Override
  public void randomNormal(
      RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    KernelChecks.randomNormal(key, index, mean, deviation, y);
    ReferenceUpdates.randomNormal(key, index, mean, deviation, y);
  }

  @Override
  public void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    KernelChecks.dropout(key, index, probability, x, y);
    ReferenceUpdates.dropout(key, index, probability, x, y);
  }
}
