package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.CrossEntropy;
import dev.heddle.ops.Embedding;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/** Layers of a component that one rank holds whole. */
public final class LocalLayers implements Layers {
  private final ParameterFactory factory;

  /** Layers on {@code device}; parameters belong to the memory scope that is open when made. */
  public LocalLayers(Device device, DType dtype, long seed) {
    this.factory = new ParameterFactory(device, dtype, seed);
  }

  @Override
  public Device device() {
    return factory.device();
  }

  @Override
  public DType dtype() {
    return factory.dtype();
  }

  @Override
  public long unitStart(long units) {
    return 0;
  }

  @Override
  public long unitCount(long units) {
    return units;
  }

  @Override
  public boolean isSplit() {
    return false;
  }

  @Override
  public Parameter parameter(
      String name, Shape globalShape, int splitDim, long units, Initializer initializer) {
    return factory.make(name, globalShape, WHOLE, 0, 0, initializer);
  }

  @Override
  public Tensor enter(Tensor x, @Nullable SequenceSpec sequence) {
    return x;
  }

  @Override
  public Tensor leave(Tensor partial, @Nullable SequenceSpec sequence) {
    return partial;
  }

  @Override
  public Tensor embedding(
      NDArray ids, Tensor table, long vocabularySize, @Nullable SequenceSpec sequence) {
    return Embedding.embedding(ids, table);
  }

  @Override
  public Tensor crossEntropySum(Tensor logits, NDArray targets, long vocabularySize) {
    return CrossEntropy.crossEntropySum(logits, targets);
  }

  @Override
  public NDArray argmax(NDArray logits, long vocabularySize) {
    NDArray best = NDArray.empty(logits.device(), DType.I64, logits.dim(0));
    logits.kernels().argmaxRows(logits, best);
    return best;
  }
}
