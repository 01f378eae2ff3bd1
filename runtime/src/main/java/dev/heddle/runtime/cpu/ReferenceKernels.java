package dev.heddle.runtime.cpu;

import dev.heddle.runtime.*;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Slow, obvious kernels for every floating type: the control that everything is tested against. */
public final class ReferenceKernels implements Kernels {
  @Override
  public String name() {
    return "reference";
  }

  @Override
  public void fill(NDArray y, double value) {
    throw new UnsupportedOperationException("fill");
  }

  @Override
  public void copy(NDArray x, NDArray y) {
    throw new UnsupportedOperationException("copy");
  }

  @Override
  public void gatherRows(NDArray x, NDArray rows, NDArray y) {
    throw new UnsupportedOperationException("gatherRows");
  }

  @Override
  public void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    throw new UnsupportedOperationException("scatterAddRows");
  }

  @Override
  public void unary(UnaryOperation op, NDArray x, NDArray y) {
    throw new UnsupportedOperationException("unary");
  }

  @Override
  public void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    throw new UnsupportedOperationException("unaryBackward");
  }

  @Override
  public void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    throw new UnsupportedOperationException("binary");
  }

  @Override
  public void scale(NDArray x, double alpha, NDArray y) {
    throw new UnsupportedOperationException("scale");
  }

  @Override
  public void addScaled(NDArray x, double alpha, NDArray y) {
    throw new UnsupportedOperationException("addScaled");
  }

  @Override
  public void swiglu(NDArray gate, NDArray up, NDArray y) {
    throw new UnsupportedOperationException("swiglu");
  }

  @Override
  public void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    throw new UnsupportedOperationException("swigluBackward");
  }

  @Override
  public void sumTo(NDArray x, NDArray y) {
    throw new UnsupportedOperationException("sumTo");
  }

  @Override
  public double sumOfSquares(List<NDArray> arrays) {
    throw new UnsupportedOperationException("sumOfSquares");
  }

  @Override
  public void argmaxRows(NDArray x, NDArray y) {
    throw new UnsupportedOperationException("argmaxRows");
  }

  @Override
  public void gemm(NDArray a, boolean transposeA, NDArray b, boolean transposeB, double alpha, double beta, NDArray c) {
    throw new UnsupportedOperationException("gemm");
  }

  @Override
  public void batchedGemm(NDArray a, boolean transposeA, NDArray b, boolean transposeB, double alpha, double beta, NDArray c) {
    throw new UnsupportedOperationException("batchedGemm");
  }

  @Override
  public void linear(NDArray x, NDArray w, @Nullable NDArray bias, UnaryOperation activation, NDArray y, @Nullable NDArray preActivation) {
    throw new UnsupportedOperationException("linear");
  }

  @Override
  public void softmax(NDArray x, NDArray y) {
    throw new UnsupportedOperationException("softmax");
  }

  @Override
  public void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    throw new UnsupportedOperationException("softmaxBackward");
  }

  @Override
  public void layerNorm(NDArray x, NDArray weight, @Nullable NDArray bias, double epsilon, NDArray y, NDArray mean, NDArray rstd) {
    throw new UnsupportedOperationException("layerNorm");
  }

  @Override
  public void layerNormBackward(NDArray x, NDArray weight, NDArray mean, NDArray rstd, NDArray dy, @Nullable NDArray dx, @Nullable NDArray dweight, @Nullable NDArray dbias) {
    throw new UnsupportedOperationException("layerNormBackward");
  }

  @Override
  public void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    throw new UnsupportedOperationException("rmsNorm");
  }

  @Override
  public void rmsNormBackward(NDArray x, NDArray weight, NDArray rstd, NDArray dy, @Nullable NDArray dx, @Nullable NDArray dweight) {
    throw new UnsupportedOperationException("rmsNormBackward");
  }

  @Override
  public void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    throw new UnsupportedOperationException("rotary");
  }

  @Override
  public void attention(NDArray q, NDArray k, NDArray v, AttentionMask mask, double scale, NDArray out, NDArray logSumExp) {
    throw new UnsupportedOperationException("attention");
  }

  @Override
  public void attentionBackward(NDArray q, NDArray k, NDArray v, NDArray out, NDArray logSumExp, NDArray dout, AttentionMask mask, double scale, NDArray dq, NDArray dk, NDArray dv) {
    throw new UnsupportedOperationException("attentionBackward");
  }

  @Override
  public void crossEntropy(NDArray logits, NDArray targets, long firstColumn, NDArray logSumExp, NDArray targetLogit) {
    throw new UnsupportedOperationException("crossEntropy");
  }

  @Override
  public void crossEntropyBackward(NDArray logits, NDArray targets, long firstColumn, NDArray logSumExp, double scale, NDArray dlogits) {
    throw new UnsupportedOperationException("crossEntropyBackward");
  }

  @Override
  public void adamW(AdamWStep step, NDArray weight, NDArray gradient, NDArray firstMoment, NDArray secondMoment, @Nullable NDArray copy) {
    throw new UnsupportedOperationException("adamW");
  }

  @Override
  public void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    throw new UnsupportedOperationException("randomUniform");
  }

  @Override
  public void randomNormal(RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    throw new UnsupportedOperationException("randomNormal");
  }

  @Override
  public void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    throw new UnsupportedOperationException("dropout");
  }

}
