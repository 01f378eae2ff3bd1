package dev.heddle.parallel.context;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Attention of ranks that divide the positions, with keys and values travelling around the ring
 * (Liu et al., "Ring Attention with Blockwise Transformers", 2023). In step s rank r has the keys
 * and values of part r - s; before it computes with them it posts their exchange for the next ones,
 * so that they travel meanwhile. The results of the steps are merged by log-sum-exp, in the order
 * of the steps.
 *
 * <p>The backward sends keys and values around once more, and behind them the sums of their
 * gradients, to which every rank adds its share and which end at the rank that they belong to. With
 * n ranks: n - 1 exchanges forward, n + 1 backward (2 where n is 2); keys and values travel n - 1
 * times each way, their gradients n - 1 times.
 */
final class RingAttention {
  private RingAttention() {}

  /**
   * Attention of this rank's queries over the keys of all ranks.
   *
   * @param qkv [B,S of this part,H + 2 Hk,D]
   */
  static Tensor ringAttention(
      Tensor qkv, long headCount, double scale, ContextPlan plan, Communicator group) {
    PackedHeads heads = PackedHeads.of(qkv.value(), headCount);
    try (MemoryScope inside = MemoryScope.temporaries()) {
      AttentionMerge merge = new AttentionMerge(heads.queries(), scale);
      Ring ring = new Ring(plan, group, heads.keysAndValues());
      for (int step = 0; step < plan.parts(); step++) {
        ring.post(step, null, null);
        for (AttentionTile tile : plan.ringTiles(group.rank(), step)) {
          merge.add(ring.current, tile);
          ring.progress();
        }
        ring.await();
      }
      NDArray result = merge.result();
      Saved saved = new Saved(qkv, heads, scale, plan, group, result, merge.logSumExp());
      return inside.keep(Tensor.from(result, saved));
    }
  }

  /** What travels: the keys and values that a rank has, and those on their way. */
  private static final class Ring {
    private final ContextPlan plan;
    private final Communicator group;
    private final int right;
    private final int left;
    NDArray current;
    private boolean borrowed;
    private @Nullable NDArray next;
    private @Nullable Handle pending;

    Ring(ContextPlan plan, Communicator group, NDArray own) {
      this.plan = plan;
      this.group = group;
      this.right = (group.rank() + 1) % group.size();
      this.left = Math.floorMod(group.rank() - 1, group.size());
      this.current = own;
    }

    /**
     * Posts what travels during a step: the keys and values to the right, unless this is the last
     * step, and what is given besides.
     */
    void post(int step, @Nullable KeyGradients outgoing, @Nullable KeyGradients incoming) {
      List<Message> messages = new ArrayList<>(4);
      if (step + 1 < plan.parts()) {
        NDArray arriving = arriving(step + 1);
        next = arriving;
        messages.add(Message.send(right, current));
        messages.add(Message.receive(left, arriving));
      }
      if (outgoing != null && incoming != null) {
        messages.add(Message.send(right, outgoing.both()));
        messages.add(Message.receive(left, incoming.both()));
      }
      pending = messages.isEmpty() ? null : group.exchange(messages);
    }

    private NDArray arriving(int step) {
      long size = plan.size(plan.keysOf(group.rank(), step));
      return NDArray.empty(current.device(), current.dtype(), current.shape().with(1, size));
    }

    /** Sends gradients on to the right; those that come from the left, for the rank's own keys. */
    KeyGradients home(KeyGradients outgoing, NDArray own) {
      KeyGradients incoming = KeyGradients.emptyFor(own);
      post(plan.parts(), outgoing, incoming);
      await();
      return incoming;
    }

    /** Lets a communicator that needs the rank's thread move on with what is under way. */
    void progress() {
      if (pending != null) {
        pending.isDone();
      }
    }

    /** Ends the step: what was posted has arrived. */
    void await() {
      if (pending != null) {
        pending.await();
        pending = null;
      }
      NDArray arrived = next;
      if (arrived != null) {
        if (borrowed) {
          current.free();
        }
        borrowed = true;
        current = arrived;
        next = null;
      }
    }
  }

  private record Saved(
      Tensor qkv,
      PackedHeads heads,
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
      return new NDArray[] {heads.array(), result, logSumExp};
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
        keyGradients(whole, dq).writeTo(gradient.keysAndValues());
        dq.kernels().copy(dq, gradient.queries());
      }
      return Gradients.of(gradient.array());
    }

    /** Goes around the ring: adds to {@code dq}, and answers the gradients of the own keys. */
    private KeyGradients keyGradients(AttentionBackward whole, NDArray dq) {
      NDArray own = heads.keysAndValues();
      Ring ring = new Ring(plan, group, own);
      KeyGradients ofOwn = KeyGradients.zerosFor(own);
      KeyGradients travelling = null;
      for (int step = 0; step < plan.parts(); step++) {
        // The left neighbour has added its share to these one step ago, unless they were its own.
        KeyGradients arriving = step < 2 ? null : KeyGradients.emptyFor(ring.current);
        ring.post(step, travelling, arriving);
        KeyGradients share = step == 0 ? ofOwn : KeyGradients.zerosFor(ring.current);
        for (AttentionTile tile : plan.ringTiles(group.rank(), step)) {
          whole.add(ring.current, tile, dq, share);
          ring.progress();
        }
        ring.await();
        if (arriving != null) {
          arriving.add(share);
          share.both().free();
        }
        if (travelling != null) {
          travelling.both().free();
        }
        travelling = step == 0 ? null : arriving == null ? share : arriving;
      }
      if (travelling == null) {
        return ofOwn;
      }
      KeyGradients sum = ring.home(travelling, own);
      sum.add(ofOwn);
      return sum;
    }
  }
}
