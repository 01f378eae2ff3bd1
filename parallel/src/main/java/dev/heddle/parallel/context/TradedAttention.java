package dev.heddle.parallel.context;

import static dev.heddle.ops.Attention.packedDocuments;
import static dev.heddle.parallel.redistribute.ShardToShard.shardToShard;

import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Split;
import dev.heddle.parallel.redistribute.ShardToShard.Parts;
import dev.heddle.runtime.AttentionMask;
import java.util.ArrayList;
import java.util.List;

/**
 * Attention of ranks that divide the positions and trade them for heads (Jacobs et al., "DeepSpeed
 * Ulysses", 2023): by one all-to-all every rank gets all positions of some heads, attends to them
 * on its own, and trades the result back. Heads need not divide evenly; query heads that read the
 * same keys stay together.
 */
final class TradedAttention {
  private static final int POSITION_DIM = 1;
  private static final int HEAD_DIM = 2;

  private TradedAttention() {}

  /**
   * Attention of this rank's queries over the keys of all ranks.
   *
   * @param qkv [B,S of this part,H + 2 Hk,D]
   * @throws IllegalArgumentException if a rank would get no keys
   */
  static Tensor tradedAttention(
      Tensor qkv, long headCount, double scale, ContextPlan plan, Communicator group) {
    int ranks = group.size();
    long keyHeads = (qkv.dim(HEAD_DIM) - headCount) / 2;
    if (keyHeads < ranks) {
      throw new IllegalArgumentException(
          "context parallelism by all-to-all: "
              + keyHeads
              + " heads of keys cannot be divided over cp="
              + ranks
              + " ranks, rank "
              + (ranks - 1)
              + " would have none; use cp="
              + keyHeads
              + " or less, or the method ring or all-gather");
    }
    long readers = headCount / keyHeads;
    List<Intervals> positions = new ArrayList<>(ranks);
    List<Intervals> inputs = new ArrayList<>(ranks);
    List<Intervals> outputs = new ArrayList<>(ranks);
    for (int rank = 0; rank < ranks; rank++) {
      Interval keys = Split.part(keyHeads, ranks, rank);
      Interval queries = new Interval(readers * keys.start(), readers * keys.end());
      long values = headCount + keyHeads;
      positions.add(plan.positions(rank));
      outputs.add(Intervals.of(queries));
      inputs.add(
          Intervals.of(
              queries.start(),
              queries.end(),
              headCount + keys.start(),
              headCount + keys.end(),
              values + keys.start(),
              values + keys.end()));
    }
    Parts byPosition = new Parts(POSITION_DIM, positions);
    Tensor lane = shardToShard(qkv, byPosition, new Parts(HEAD_DIM, inputs), group);
    long mine = outputs.get(group.rank()).size();
    AttentionMask mask = plan.causal() ? AttentionMask.CAUSAL : AttentionMask.FULL;
    long[] starts = plan.sequence().documentStarts();
    Tensor mixed = packedDocuments(lane, mine, mask, scale, null, starts);
    return shardToShard(mixed, new Parts(HEAD_DIM, outputs), byPosition, group);
  }
}
