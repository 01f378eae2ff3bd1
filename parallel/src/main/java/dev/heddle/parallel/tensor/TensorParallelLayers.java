package dev.heddle.parallel.tensor;

import static dev.heddle.parallel.redistribute.InvariantToReplicate.invariantToReplicate;
import static dev.heddle.parallel.redistribute.PartialToInvariant.partialToInvariant;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.ParameterFactory;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/**
 * Layers whose heads, hidden features and words are divided over a group of ranks (Shoeybi et al.,
 * "Megatron-LM", 2019). Every rank keeps complete activations between layers; inside, it computes
 * its part and the parts are summed. Units are divided as evenly as they go, the first ranks
 * getting one more.
 */
public final class TensorParallelLayers implements Layers {
  private final ParameterFactory factory;
  private final int parts;
  private final int part;
  private final Communicator group;

  /**
   * Layers of this rank of {@code group}.
   *
   * @param group the ranks that divide the component's layers
   */
  public TensorParallelLayers(Device device, DType dtype, long seed, Communicator group) {
    this.factory = new ParameterFactory(device, dtype, seed);
    this.group = group;
    this.parts = group.size();
    this.part = group.rank();
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
    return Split.part(units, parts, part).start();
  }

  @Override
  public long unitCount(long units) {
    return Split.part(units, parts, part).size();
  }

  @Override
  public boolean isSplit() {
    return parts > 1;
  }

  @Override
  public Parameter parameter(
      String name, Shape globalShape, int splitDim, long units, Initializer initializer) {
    if (splitDim == WHOLE) {
      return factory.make(name, globalShape, WHOLE, 0, 0, initializer);
    }
    long size = globalShape.dim(splitDim);
    if (size % units != 0) {
      throw new IllegalArgumentException(
          "parameter "
              + name
              + ": dim "
              + splitDim
              + " of "
              + globalShape
              + " does not consist of "
              + units
              + " equal units");
    }
    Interval mine = Split.part(units, parts, part);
    if (mine.size() == 0) {
      throw new IllegalArgumentException(
          "parameter "
              + name
              + ": "
              + units
              + " units cannot be divided over tp="
              + parts
              + " ranks, rank "
              + part
              + " would have none; use tp="
              + units
              + " or less");
    }
    long unit = size / units;
    return factory.make(
        name, globalShape, splitDim, mine.start() * unit, mine.size() * unit, initializer);
  }

  @Override
  public Tensor enter(Tensor x) {
    return invariantToReplicate(x, group);
  }

  @Override
  public Tensor leave(Tensor partial) {
    return partialToInvariant(partial, group);
  }

  @Override
  public Tensor embedding(NDArray ids, Tensor table, long vocabularySize) {
    return VocabularyParallelEmbedding.embedding(
        ids, table, unitStart(vocabularySize), vocabularySize, group);
  }

  @Override
  public Tensor crossEntropySum(Tensor logits, NDArray targets, long vocabularySize) {
    return VocabularyParallelCrossEntropy.crossEntropySum(
        logits, targets, unitStart(vocabularySize), vocabularySize, group);
  }

  @Override
  public NDArray argmax(NDArray logits, long vocabularySize) {
    return VocabularyParallelArgmax.argmax(logits, unitStart(vocabularySize), group);
  }
}
