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
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryPool;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The kernels for bf16, mostly by those for F32: operands are widened into scratch arrays, the F32
 * kernel runs, and what it wrote is rounded; element-wise primitives do so tile by tile, those over
 * rows by pieces of rows. What training steps do most has loops that convert in registers. So a
 * value is rounded once a primitive, as on hardware with bf16 storage and F32 accumulation.
 * Statistics are F32 already and pass through.
 *
 * <p>On processors with bf16 instructions products and attention are bf16 products. Two values are
 * then rounded on the way: what a linear layer's activation is applied to, and the probabilities of
 * attention with their gradients.
 */
final class Bf16Kernels implements Kernels {
  private final Kernels floats;
  private final Kernels reference = new ReferenceKernels();
  private final Bf16Products products;
  private final Bf16Arrays arrays;
  private final Bf16Rows rows;
  private final VectorUpdates updates;
  private final VectorMovement movement;
  private final Bf16Elementwise elementwise;
  private final Bf16Attention attention;
  private final Bf16AttentionBackward attentionBackward;

  /**
   * Over the F32 table of the same device.
   *
   * @param products multiplies bf16 directly where the processor can
   * @param machine element-wise loops by machine code, null for Java
   */
  Bf16Kernels(
      Kernels floats,
      WorkerPool workers,
      MemoryPool memory,
      Bf16Products products,
      @Nullable MachineLoops machine) {
    this.floats = floats;
    this.products = products;
    this.arrays = new Bf16Arrays(workers);
    this.rows =
        new Bf16Rows(
            floats, arrays, new Bf16Sums(workers, memory), new Bf16Norms(workers, memory, machine));
    this.updates = new VectorUpdates(workers, machine);
    this.movement = new VectorMovement(workers);
    this.elementwise = new Bf16Elementwise(workers, memory, machine);
    this.attention = new Bf16Attention(workers, memory, products.byMachineCode());
    this.attentionBackward = new Bf16AttentionBackward(workers, memory, products.byMachineCode());
  }

  /**
   * The product with its bias, rounded, then the activation of that, which so is the activation of
   * what a backward pass gets as {@code preActivation}.
   */
  private boolean linearByInstructions(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation) {
    NDArray sums = preActivation == null ? y : preActivation;
    if (!products.multiply(x, false, w, true, 1, 0, sums, bias)) {
      return false;
    }
    if (activation != UnaryOperation.IDENTITY) {
      elementwise.unary(activation, sums, y);
    }
    return true;
  }

  @Override
  public String name() {
    return "bf16 by " + floats.name();
  }

  private NDArray wide(NDArray x) {
    return arrays.wide(x);
  }

  private @Nullable NDArray wideOrNull(@Nullable NDArray x) {
    return arrays.wideOrNull(x);
  }

  private NDArray room(NDArray y) {
    return arrays.room(y);
  }

  private @Nullable NDArray roomOrNull(@Nullable NDArray y) {
    return arrays.roomOrNull(y);
  }

  private void narrow(NDArray wide, NDArray y) {
    arrays.narrow(wide, y);
  }

  private void narrowOrNot(@Nullable NDArray wide, @Nullable NDArray y) {
    arrays.narrowOrNot(wide, y);
  }

  @Override
  public void fill(NDArray y, double value) {
    KernelChecks.fill(y, value);
    reference.fill(y, value);
  }

  @Override
  public void copy(NDArray x, NDArray y) {
    KernelChecks.copy(x, y);
    if (y.dtype() == DType.BF16) {
      Bf16Conversion.copy(x, y);
    } else if (y.dtype() == DType.F32 && y.isContiguous()) {
      arrays.widen(x, y);
    } else {
      reference.copy(x, y);
    }
  }

  @Override
  public double sumOfSquares(List<NDArray> arrays) {
    KernelChecks.sumOfSquares(arrays);
    double sum = 0;
    for (NDArray array : arrays) {
      try (MemoryScope scratch = MemoryScope.open()) {
        List<NDArray> one = new ArrayList<>(1);
        one.add(wide(array));
        sum += floats.sumOfSquares(one);
      }
    }
    return sum;
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
    AdamWTensor one = new AdamWTensor(weight, gradient, firstMoment, secondMoment, copy, true);
    updates.adamW(step, step, List.of(one));
  }

  @Override
  public void adamW(AdamWStep step, List<AdamWTensor> tensors) {
    for (AdamWTensor t : tensors) {
      OptimizerChecks.adamW(
          step, t.weight(), t.gradient(), t.firstMoment(), t.secondMoment(), t.copy());
    }
    updates.adamW(step, step.withoutDecay(), tensors);
  }

  @Override
  public void gatherRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.gatherRows(x, rows, y);
    movement.gatherRows(x, rows, y);
  }

  @Override
  public void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    KernelChecks.scatterAddRows(x, rows, y);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = wide(y);
      floats.scatterAddRows(wide(x), rows, yWide);
      narrow(yWide, y);
    }
  }

  @Override
  public void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    floats.localRows(rows, first, count, all, local);
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
    boolean alike = a.shape().equals(y.shape()) && b.shape().equals(y.shape());
    if (alike && a.isContiguous() && b.isContiguous() && y.isContiguous()) {
      elementwise.binary(op, a, b, y);
      return;
    }
    if (rows.binary(elementwise, op, a, b, y)) {
      return;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.binary(op, wide(a), wide(b), yWide);
      narrow(yWide, y);
    }
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
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.swiglu(wide(gate), wide(up), yWide);
      narrow(yWide, y);
    }
  }

  @Override
  public void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    KernelChecks.swigluBackward(gate, up, dy, dgate, dup);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray dgateWide = room(dgate);
      NDArray dupWide = room(dup);
      floats.swigluBackward(wide(gate), wide(up), wide(dy), dgateWide, dupWide);
      narrow(dgateWide, dgate);
      narrow(dupWide, dup);
    }
  }

  @Override
  public void sumTo(NDArray x, NDArray y) {
    KernelChecks.sumTo(x, y);
    if (rows.sumTo(x, y)) {
      return;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.sumTo(wide(x), yWide);
      narrow(yWide, y);
    }
  }

  @Override
  public void argmaxRows(NDArray x, NDArray y) {
    KernelChecks.argmaxRows(x, y);
    try (MemoryScope scratch = MemoryScope.open()) {
      floats.argmaxRows(wide(x), y);
    }
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
    if (products.multiply(a, transposeA, b, transposeB, alpha, beta, c)) {
      return;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray cWide = wide(c);
      floats.gemm(wide(a), transposeA, wide(b), transposeB, alpha, beta, cWide);
      narrow(cWide, c);
    }
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
    if (products.multiply(a, transposeA, b, transposeB, alpha, beta, c)) {
      return;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray cWide = wide(c);
      floats.batchedGemm(wide(a), transposeA, wide(b), transposeB, alpha, beta, cWide);
      narrow(cWide, c);
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
    if (linearByInstructions(x, w, bias, activation, y, preActivation)) {
      return;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      @Nullable NDArray preActivationWide = roomOrNull(preActivation);
      floats.linear(wide(x), wide(w), wideOrNull(bias), activation, yWide, preActivationWide);
      narrow(yWide, y);
      narrowOrNot(preActivationWide, preActivation);
    }
  }

  @Override
  public void linearParameterGradients(NDArray dz, NDArray x, NDArray dw, NDArray db) {
    KernelChecks.gemm(dz, true, x, false, 1, 0, dw);
    KernelChecks.sumTo(dz, db);
    boolean aRow = db.rank() == 1 && db.dtype() == dw.dtype() && db.size() == dw.dim(0);
    if (aRow && dw.dtype() == DType.BF16 && products.parameterGradients(dz, x, dw, db)) {
      return;
    }
    Kernels.super.linearParameterGradients(dz, x, dw, db);
  }

  @Override
  public void softmax(NDArray x, NDArray y) {
    KernelChecks.softmax(x, y);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.softmax(wide(x), yWide);
      narrow(yWide, y);
    }
  }

  @Override
  public void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    KernelChecks.softmaxBackward(y, dy, dx);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray dxWide = room(dx);
      floats.softmaxBackward(wide(y), wide(dy), dxWide);
      narrow(dxWide, dx);
    }
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
    rows.norm(x, weight, bias, epsilon, y, mean, rstd);
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
    rows.normBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
  }

  @Override
  public void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    KernelChecks.rmsNorm(x, weight, epsilon, y, rstd);
    rows.norm(x, weight, null, epsilon, y, null, rstd);
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
    rows.normBackward(x, weight, null, rstd, dy, dx, dweight, null);
  }

  @Override
  public void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    KernelChecks.rotary(x, cos, sin, inverse, y);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.rotary(wide(x), cos, sin, inverse, yWide);
      narrow(yWide, y);
    }
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
    if (products.multiplyHeads(q) && Bf16AttentionBlocks.suits(q, k)) {
      attention.attention(q, k, v, mask, scale, out, logSumExp);
      return;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray outWide = room(out);
      floats.attention(wide(q), wide(k), wide(v), mask, scale, outWide, logSumExp);
      narrow(outWide, out);
    }
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
    if (products.multiplyHeads(q) && Bf16AttentionBlocks.suits(q, k)) {
      attentionBackward.attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv);
      return;
    }
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray dqWide = room(dq);
      NDArray dkWide = room(dk);
      NDArray dvWide = room(dv);
      floats.attentionBackward(
          wide(q),
          wide(k),
          wide(v),
          wide(out),
          logSumExp,
          wide(dout),
          mask,
          scale,
          dqWide,
          dkWide,
          dvWide);
      narrow(dqWide, dq);
      narrow(dkWide, dk);
      narrow(dvWide, dv);
    }
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
    rows.crossEntropy(logits, targets, firstColumn, classes, logSumExp, targetLogit);
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
    rows.crossEntropyBackward(logits, targets, firstColumn, logSumExp, dloss, dlogits);
  }

  @Override
  public void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    KernelChecks.randomUniform(key, index, low, high, y);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.randomUniform(key, index, low, high, yWide);
      narrow(yWide, y);
    }
  }

  @Override
  public void randomNormal(
      RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    KernelChecks.randomNormal(key, index, mean, deviation, y);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.randomNormal(key, index, mean, deviation, yWide);
      narrow(yWide, y);
    }
  }

  @Override
  public void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    KernelChecks.dropout(key, index, probability, x, y);
    try (MemoryScope scratch = MemoryScope.open()) {
      NDArray yWide = room(y);
      floats.dropout(key, index, probability, wide(x), yWide);
      narrow(yWide, y);
    }
  }
}
