package dev.heddle.parallel.context;

import static dev.heddle.ops.Rotary.rotaryOfFirst;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.ops.RotaryTable;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/**
 * Layers whose sequences are divided over a group of ranks. Every rank of the group holds all
 * parameters of the layers inside and computes its part of the positions; only attention needs the
 * others' ({@link ContextMethod}). What the layers inside see is lanes of just those positions, so
 * they may divide them further between layers, as sequence parallelism does.
 *
 * <p>A lane is divided in zigzag, as {@code RowLayout} does with {@code zigzag(CP, POSITION_DIM)},
 * whatever documents it consists of; so a boundary delivers rows exactly to the positions held
 * here. Gradients of parameters are summands on every rank of the group, like those of data
 * parallelism, and are summed with these.
 *
 * <p>Every rank of the group computes every microbatch, also one of which it holds no position.
 */
public final class ContextParallelLayers implements Layers {
  private final Layers inside;
  private final Communicator group;
  private final ContextMethod method;
  private @Nullable ContextPlan lastPlan;

  /**
   * Layers of this rank of {@code group}.
   *
   * @param inside the layers of one rank of the group: local or tensor-parallel ones
   * @param group the ranks that divide the sequences; with tensor parallelism those of the same
   *     tensor-parallel part
   * @param method how they compute attention
   */
  public ContextParallelLayers(Layers inside, Communicator group, ContextMethod method) {
    this.inside = inside;
    this.group = group;
    this.method = method;
  }

  @Override
  public Device device() {
    return inside.device();
  }

  @Override
  public DType dtype() {
    return inside.dtype();
  }

  @Override
  public long unitStart(long units) {
    return inside.unitStart(units);
  }

  @Override
  public long unitCount(long units) {
    return inside.unitCount(units);
  }

  @Override
  public boolean isSplit() {
    return inside.isSplit();
  }

  @Override
  public boolean isSequenceParallel() {
    return inside.isSequenceParallel();
  }

  @Override
  public Parameter parameter(
      String name, Shape globalShape, int splitDim, long units, Initializer initializer) {
    return inside.parameter(name, globalShape, splitDim, units, initializer);
  }

  @Override
  public long[] heldPositions(SequenceSpec sequence) {
    return positions(sequence, inside.heldPositions(partOf(sequence)));
  }

  @Override
  public long[] enteredPositions(SequenceSpec sequence) {
    return positions(sequence, inside.enteredPositions(partOf(sequence)));
  }

  /** The positions of the lane that stand at some places of this rank's part. */
  private long[] positions(SequenceSpec sequence, long[] places) {
    Intervals mine = division(sequence).positions(group.rank());
    long[] all = new long[Math.toIntExact(mine.size())];
    int next = 0;
    for (int i = 0; i < mine.count(); i++) {
      for (long position = mine.start(i); position < mine.end(i); position++) {
        all[next++] = position;
      }
    }
    long[] chosen = new long[places.length];
    for (int i = 0; i < places.length; i++) {
      chosen[i] = all[Math.toIntExact(places[i])];
    }
    return chosen;
  }

  /** The lanes of this rank's part. What they consist of concerns attention only. */
  private SequenceSpec partOf(SequenceSpec sequence) {
    return SequenceSpec.of(sequence.lanes(), division(sequence).size(group.rank()));
  }

  private @Nullable SequenceSpec partOfKnown(@Nullable SequenceSpec sequence) {
    return sequence == null ? null : partOf(sequence);
  }

  @Override
  public Tensor enter(Tensor x, @Nullable SequenceSpec sequence) {
    return inside.enter(x, partOfKnown(sequence));
  }

  @Override
  public Tensor leave(Tensor partial, @Nullable SequenceSpec sequence) {
    return inside.leave(partial, partOfKnown(sequence));
  }

  @Override
  public Tensor enterRows(Tensor x, NDArray rows, @Nullable SequenceSpec sequence) {
    return inside.enterRows(x, rows, partOfKnown(sequence));
  }

  @Override
  public Tensor embedding(
      NDArray ids, Tensor table, long vocabularySize, @Nullable SequenceSpec sequence) {
    return inside.embedding(ids, table, vocabularySize, partOfKnown(sequence));
  }

  @Override
  public Tensor attention(
      Tensor qkv,
      long headCount,
      AttentionMask mask,
      double scale,
      @Nullable SequenceSpec sequence,
      @Nullable RotaryTable rotary) {
    ContextPlan plan = plan(checked(qkv, headCount, mask, sequence), mask.causal());
    // Rotated where the positions are, before keys travel.
    Tensor heads = rotary == null ? qkv : rotaryOfFirst(qkv, (qkv.dim(2) + headCount) / 2, rotary);
    return switch (method) {
      case RING -> RingAttention.ringAttention(heads, headCount, scale, plan, group);
      case ALL_GATHER -> GatheredAttention.gatheredAttention(heads, headCount, scale, plan, group);
      case ALL_TO_ALL -> TradedAttention.tradedAttention(heads, headCount, scale, plan, group);
    };
  }

  private SequenceSpec checked(
      Tensor qkv, long headCount, AttentionMask mask, @Nullable SequenceSpec sequence) {
    if (sequence == null) {
      throw new IllegalArgumentException(
          "context parallelism: attention was not told of the sequences whose positions ranks"
              + " divide; hand the SequenceSpec of the microbatch along, for example with"
              + " BlockContext.withSequence");
    }
    if (mask.queryStart() != 0 || mask.keyStart() != 0) {
      throw new IllegalArgumentException(
          "context parallelism: got the mask " + mask + "; wanted FULL or CAUSAL");
    }
    long length = partOf(sequence).length();
    long keyHeads = qkv.rank() == 4 ? (qkv.dim(2) - headCount) / 2 : 0;
    boolean fits =
        headCount > 0
            && keyHeads > 0
            && headCount + 2 * keyHeads == qkv.dim(2)
            && headCount % keyHeads == 0
            && qkv.dim(0) == sequence.lanes()
            && qkv.dim(1) == length;
    if (!fits) {
      throw new IllegalArgumentException(
          "context parallelism: rank "
              + group.rank()
              + " of "
              + group.name()
              + " got heads "
              + qkv.shape()
              + "; wanted ["
              + sequence.lanes()
              + ","
              + length
              + ","
              + headCount
              + " + 2 Hk,D], the entered positions of "
              + sequence
              + ", with "
              + headCount
              + " a multiple of Hk");
    }
    return sequence;
  }

  /** A plan that says who holds which positions, which is the same under every mask. */
  private ContextPlan division(SequenceSpec sequence) {
    ContextPlan plan = lastPlan;
    return plan != null && plan.sequence().equals(sequence) ? plan : plan(sequence, true);
  }

  /** The plan of these sequences; all layers of a microbatch ask for the same. */
  private ContextPlan plan(SequenceSpec sequence, boolean causal) {
    ContextPlan plan = lastPlan;
    if (plan == null || !plan.isOf(sequence, causal)) {
      plan = ContextPlan.of(sequence, group.size(), causal);
      lastPlan = plan;
    }
    return plan;
  }

  @Override
  public Tensor crossEntropySum(Tensor logits, NDArray targets, long vocabularySize) {
    return inside.crossEntropySum(logits, targets, vocabularySize);
  }

  @Override
  public NDArray argmax(NDArray logits, long vocabularySize) {
    return inside.argmax(logits, vocabularySize);
  }
}
