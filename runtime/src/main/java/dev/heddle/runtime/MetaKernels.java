package dev.heddle.runtime;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Computes nothing: arrays of a {@link MetaDevice} have no bytes. */
final class MetaKernels implements Kernels {
  @Override
  public String name() {
    return "meta";
  }

  @Override
  public void fill(NDArray y, double value) {}

  @Override
  public void copy(NDArray x, NDArray y) {}

  @Override
  public void gatherRows(NDArray x, NDArray rows, NDArray y) {}

  @Override
  public void scatterAddRows(NDArray x, NDArray rows, NDArray y) {}

  @Override
  public void unary(UnaryOperation op, NDArray x, NDArray y) {}

  @Override
  public void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {}

  @Override
  public void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {}

  @Override
  public void scale(NDArray x, double alpha, NDArray y) {}

  @Override
  public void addScaled(NDArray x, double alpha, NDArray y) {}

  @Override
  public void swiglu(NDArray gate, NDArray up, NDArray y) {}

  @Override
  public void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {}

  @Override
  public void sumTo(NDArray x, NDArray y) {}

  @Override
  public double sumOfSquares(List<NDArray> arrays) {
    return 0;
  }

  @Override
  public void argmaxRows(NDArray x, NDArray y) {}

  @Override
  public void gemm(NDArray a, boolean transposeA, NDArray b, boolean transposeB, double alpha, double beta, NDArray c) {}

  @Override
  public void batchedGemm(NDArray a, boolean transposeA, NDArray b, boolean transposeB, double alpha, double beta, NDArray c) {}

  @Override
  public void linear(NDArray x, NDArray w, @Nullable NDArray bias, UnaryOperation activation, NDArray y, @Nullable NDArray preActivation) {}

  @Override
  public void softmax(NDArray x, NDArray y) {}

  @Override
  public void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {}

  @Override
  public void layerNorm(NDArray x, NDArray weight, @Nullable NDArray bias, double epsilon, NDArray y, NDArray mean, NDArray rstd) {}

  @Override
  public void layerNormBackward(NDArray x, NDArray weight, NDArray mean, NDArray rstd, NDArray dy, @Nullable NDArray dx, @Nullable NDArray dweight, @Nullable NDArray dbias) {}

  @Override
  public void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {}

  @Override
  public void rmsNormBackward(NDArray x, NDArray weight, NDArray rstd, NDArray dy, @Nullable NDArray dx, @Nullable NDArray dweight) {}

  @Override
  public void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {}

  @Override
  public void attention(NDArray q, NDArray k, NDArray v, AttentionMask mask, double scale, NDArray out, NDArray logSumExp) {}

  @Override
  public void attentionBackward(NDArray q, NDArray k, NDArray v, NDArray out, NDArray logSumExp, NDArray dout, AttentionMask mask, double scale, NDArray dq, NDArray dk, NDArray dv) {}

  @Override
  public void crossEntropy(NDArray logits, NDArray targets, long firstColumn, NDArray logSumExp, NDArray targetLogit) {}

  @Override
  public void crossEntropyBackward(NDArray logits, NDArray targets, long firstColumn, NDArray logSumExp, double scale, NDArray dlogits) {}

  @Override
  public void adamW(AdamWStep step, NDArray weight, NDArray gradient, NDArray firstMoment, NDArray secondMoment, @Nullable NDArray copy) {}

  @Override
  public void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {}

  @Override
  public void randomNormal(RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {}

  @Override
  public void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {}

}
