package dev.heddle.parallel.tensor;

import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.Reshape.reshape;
import static dev.heddle.parallel.redistribute.InvariantToReplicate.invariantToReplicate;
import static dev.heddle.parallel.redistribute.PartialToInvariant.partialToInvariant;
import static dev.heddle.parallel.redistribute.PartialToShard.partialToShard;
import static dev.heddle.parallel.redistribute.ShardToReplicate.shardToReplicate;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.ParameterFactory;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * Layers whose heads, hidden features and words are divided over a group of ranks (Shoeybi et al.,
 * "Megatron-LM", 2019). Inside a layer every rank computes its part and the parts are summed. Units
 * are divided as evenly as they go, the first ranks getting one more.
 *
 * <p>Between layers every rank keeps complete activations or, with sequence parallelism
 * (Korthikanti et al., 2022), its part of the positions of each lane: the all-reduce of a layer
 * becomes an all-gather before and a reduce-scatter after it. Parameters that ranks hold whole are
 * then used on a part of the positions, and their gradients are summands ({@link
 * Parameter#partialGradient}).
 */
public final class TensorParallelLayers implements Layers {
  private static final int POSITION_DIM = 1;

  private final ParameterFactory factory;
  private final int parts;
  private final int part;
  private final Communicator group;
  private final boolean sequenceParallel;

  /**
   * Layers of this rank of {@code group}, which hold complete activations between layers.
   *
   * @param group the ranks that divide the component's layers
   */
  public TensorParallelLayers(Device device, DType dtype, long seed, Communicator group) {
    this(device, dtype, seed, group, false);
  }

  /**
   * Layers of this rank of {@code group}.
   *
   * @param group the ranks that divide the component's layers
   * @param sequenceParallel whether the ranks divide the sequence between layers
   */
  public TensorParallelLayers(
      Device device, DType dtype, long seed, Communicator group, boolean sequenceParallel) {
    this.factory = new ParameterFactory(device, dtype, seed);
    this.group = group;
    this.sequenceParallel = sequenceParallel && group.size() > 1;
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
  public boolean isSequenceParallel() {
    return sequenceParallel;
  }

  @Override
  public Parameter parameter(
      String name, Shape globalShape, int splitDim, long units, Initializer initializer) {
    if (splitDim == WHOLE) {
      Parameter whole = factory.make(name, globalShape, WHOLE, 0, 0, initializer);
      // Every rank uses it for its own positions only.
      return sequenceParallel ? whole.withPartialGradient() : whole;
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
  public long[] heldPositions(SequenceSpec sequence) {
    Interval held = sequenceParallel ? part(sequence) : new Interval(0, sequence.length());
    return LongStream.range(held.start(), held.end()).toArray();
  }

  private Interval part(SequenceSpec sequence) {
    return Split.part(sequence.length(), parts, part);
  }

  @Override
  public Tensor enter(Tensor x, @Nullable SequenceSpec sequence) {
    return sequenceParallel
        ? shardToReplicate(x, POSITION_DIM, known(sequence).length(), group)
        : invariantToReplicate(x, group);
  }

  @Override
  public Tensor leave(Tensor partial, @Nullable SequenceSpec sequence) {
    return sequenceParallel
        ? partialToShard(partial, POSITION_DIM, group)
        : partialToInvariant(partial, group);
  }

  @Override
  public Tensor enterRows(Tensor x, NDArray rows, @Nullable SequenceSpec sequence) {
    if (sequenceParallel) {
      return Layers.super.enterRows(x, rows, sequence);
    }
    // Every rank has all rows: only those that go on need the all-reduce of their gradients.
    Tensor matrix = reshape(x, x.dim(0) * x.dim(1), x.dim(2));
    return invariantToReplicate(gatherRows(matrix, rows), group);
  }

  @Override
  public Tensor embedding(
      NDArray ids, Tensor table, long vocabularySize, @Nullable SequenceSpec sequence) {
    Tensor partial =
        VocabularyParallelEmbedding.partialEmbedding(
            ids, table, unitStart(vocabularySize), vocabularySize);
    if (!sequenceParallel) {
      return partialToInvariant(partial, group);
    }
    SequenceSpec lanes = known(sequence);
    if (ids.size() != lanes.lanes() * lanes.length()) {
      throw new IllegalArgumentException(
          "embedding under sequence parallelism: got "
              + ids.size()
              + " ids; wanted those of all "
              + lanes.lanes()
              + " x "
              + lanes.length()
              + " entered positions, on every rank");
    }
    long size = table.dim(1);
    Tensor whole = reshape(partial, lanes.lanes(), lanes.length(), size);
    Tensor held = partialToShard(whole, POSITION_DIM, group);
    return reshape(held, lanes.lanes() * held.dim(POSITION_DIM), size);
  }

  private static SequenceSpec known(@Nullable SequenceSpec sequence) {
    if (sequence == null) {
      throw new IllegalArgumentException(
          "sequence parallelism: the layer was not told of the sequences whose positions ranks"
              + " divide; hand the SequenceSpec of the microbatch along, for example with"
              + " BlockContext.withSequence");
    }
    return sequence;
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
