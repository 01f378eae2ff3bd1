package dev.heddle.parallel.context;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;

/**
 * Attention of ranks that divide the positions, with all keys and values gathered first
 * (Grattafiori et al., "The Llama 3 Herd of Models", 2024, section 3.3.2): then every piece of a
 * rank's queries is one tile and nothing is merged. Backward, every rank has a summand of the
 * gradients of all keys and values; a reduce-scatter gives each its own.
 *
 * <p>The two chunks of each part are gathered by one collective each, both under way at once,
 * straight to their places in the lane.
 */
final class GatheredAttention {
  private GatheredAttention() {}

  /**
   * Attention of this rank's queries over the keys of all ranks.
   *
   * @param qkv [B,S of this part,H + 2 Hk,D]
   */
  static Tensor gatheredAttention(
      Tensor qkv, long headCount, double scale, ContextPlan plan, Communicator group) {
    PackedHeads heads = PackedHeads.of(qkv.value(), headCount);
    try (MemoryScope inside = MemoryScope.temporaries()) {
      NDArray lane = gathered(heads.keysAndValues(), plan, group);
      NDArray q = heads.queries();
      NDArray result = NDArray.empty(q.device(), q.dtype(), q.shape());
      NDArray logSumExp =
          NDArray.empty(q.device(), q.dtype().accumulation(), q.dim(0), q.dim(2), q.dim(1));
      for (AttentionTile tile : plan.laneTiles(group.rank())) {
        attend(q, lane, tile, scale, result, logSumExp);
      }
      Saved saved = new Saved(qkv, heads, lane, scale, plan, group, result, logSumExp);
      return inside.keep(Tensor.from(result, saved));
    }
  }

  private static void attend(
      NDArray q, NDArray lane, AttentionTile tile, double scale, NDArray result, NDArray log) {
    try (MemoryScope inside = MemoryScope.open()) {
      NDArray queries = q.slice(1, tile.queryStart(), tile.queryEnd());
      NDArray seen = lane.slice(1, tile.keyStart(), tile.keyEnd());
      NDArray tileLog = NDArray.empty(q.device(), log.dtype(), log.shape().with(2, queries.dim(1)));
      q.kernels()
          .attention(
              queries,
              PackedHeads.keys(seen),
              PackedHeads.values(seen),
              tile.mask(),
              scale,
              result.slice(1, tile.queryStart(), tile.queryEnd()),
              tileLog);
      log.kernels().copy(tileLog, log.slice(2, tile.queryStart(), tile.queryEnd()));
    }
  }

  /** The whole lane [B,S,2 Hk,D] of which {@code own} is this rank's part. */
  private static NDArray gathered(NDArray own, ContextPlan plan, Communicator group) {
    NDArray lane =
        NDArray.empty(own.device(), own.dtype(), own.shape().with(1, plan.sequence().length()));
    long early = plan.chunk(group.rank()).size();
    Handle first = group.allGather(own.slice(1, 0, early), chunks(lane, 1, plan, false));
    Handle second = group.allGather(own.slice(1, early, own.dim(1)), chunks(lane, 1, plan, true));
    first.await();
    second.await();
    return lane;
  }

  /** This rank's part of the sum of all ranks' gradients of the lane. */
  private static KeyGradients reduced(
      KeyGradients lane, NDArray own, ContextPlan plan, Communicator group) {
    KeyGradients part = KeyGradients.emptyFor(own);
    long early = plan.chunk(group.rank()).size();
    Handle first =
        group.reduceScatter(
            chunks(lane.both(), 2, plan, false), part.both().slice(2, 0, early), ReduceOp.SUM);
    Handle second =
        group.reduceScatter(
            chunks(lane.both(), 2, plan, true),
            part.both().slice(2, early, own.dim(1)),
            ReduceOp.SUM);
    first.await();
    second.await();
    return part;
  }

  /** The early or the late chunk of every part, as views of the lane. */
  private static List<NDArray> chunks(NDArray lane, int dim, ContextPlan plan, boolean late) {
    List<NDArray> chunks = new ArrayList<>(plan.parts());
    for (int part = 0; part < plan.parts(); part++) {
      Interval chunk = plan.chunk(late ? 2 * plan.parts() - 1 - part : part);
      chunks.add(lane.slice(dim, chunk.start(), chunk.end()));
    }
    return chunks;
  }

  private record Saved(
      Tensor qkv,
      PackedHeads heads,
      NDArray lane,
      double scale,
      ContextPlan plan,
      Communicator group,
      NDArray result,
      NDArray logSumExp)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {qkv};
    }

    @Override
    public NDArray[] saved() {
      return new NDArray[] {heads.array(), lane, result, logSumExp};
    }

    @Override
    public Gradients backward(NDArray dy) {
      PackedHeads gradient =
          new PackedHeads(NDArray.empty(dy.device(), dy.dtype(), qkv.shape()), heads.headCount());
      try (MemoryScope inside = MemoryScope.open()) {
        NDArray dout = dy.dim(-1) == 1 || dy.stride(-1) == 1 ? dy : dy.contiguous();
        AttentionBackward whole =
            new AttentionBackward(heads.queries(), result, logSumExp, dout, scale);
        NDArray dq = AttentionBackward.zerosFor(heads.queries());
        KeyGradients dkv = KeyGradients.zerosFor(lane);
        for (AttentionTile tile : plan.laneTiles(group.rank())) {
          whole.add(lane, tile, dq, dkv);
        }
        reduced(dkv, heads.keysAndValues(), plan, group).writeTo(gradient.keysAndValues());
        dq.kernels().copy(dq, gradient.queries());
      }
      return Gradients.of(gradient.array());
    }
  }
}
