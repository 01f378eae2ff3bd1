package dev.heddle.jmh;

import static org.bytedeco.pytorch.global.torch.cat;
import static org.bytedeco.pytorch.global.torch.cross_entropy_loss;
import static org.bytedeco.pytorch.global.torch.embedding;
import static org.bytedeco.pytorch.global.torch.full;
import static org.bytedeco.pytorch.global.torch.gelu;
import static org.bytedeco.pytorch.global.torch.layer_norm;
import static org.bytedeco.pytorch.global.torch.linear;
import static org.bytedeco.pytorch.global.torch.matmul;
import static org.bytedeco.pytorch.global.torch.scaled_dot_product_attention;
import static org.bytedeco.pytorch.global.torch.softmax;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/** A {@link BenchmarkModel} in libtorch, through JavaCPP's bindings of its C++ interface. */
final class JavaCppModel {
  private static final TensorOptional NONE = new TensorOptional();
  private static final DoubleOptional USUAL_SCALE = new DoubleOptional();
  private static final Positions ALL = new Positions(0, 0);

  /** Positions of x [B,S,d] from {@code first} on; none counted means all. */
  private record Positions(long first, long count) {
    Tensor of(Tensor x) {
      return count == 0 ? x : x.narrow(1, first, count);
    }
  }

  /** How attention is computed. */
  enum AttentionForm {
    /** By libtorch's fused kernel. */
    FLASH,
    /** By two products and a softmax. */
    COMPOSED
  }

  /** What is trained, F32. */
  private final List<Tensor> masters = new ArrayList<>();

  /** What the model computes with: the masters, or copies of them in bf16. */
  private final List<Tensor> weights = new ArrayList<>();

  private final List<TensorOptional> optionals = new ArrayList<>();
  private final Map<Long, Tensor> masks = new HashMap<>();
  private final BenchmarkModel model;
  private final AttentionForm attention;
  private final boolean narrow;
  private final Tensor patches;
  private final Tensor tokens;
  private final Tensor targets;
  private int next;

  /**
   * A model with the first weights.
   *
   * @param narrow whether weights and activations are bf16, apart from the master weights
   */
  JavaCppModel(BenchmarkModel model, AttentionForm attention, boolean narrow) {
    this.model = model;
    this.attention = attention;
    this.narrow = narrow;
    List<StepModel.Weight> all = model.weights();
    for (int i = 0; i < all.size(); i++) {
      Tensor master = Tensor.create(model.initial(i), all.get(i).dims());
      Tensor weight = narrow ? master.to(ScalarType.BFloat16) : master;
      weight.requires_grad_(true);
      masters.add(master);
      weights.add(weight);
      optionals.add(new TensorOptional(weight));
    }
    targets = Tensor.create(model.targets());
    switch (model) {
      case StepModel step -> {
        long batch = step.batchSize();
        long length = step.sequenceLength();
        patches =
            step.causal()
                ? new Tensor()
                : activation(Tensor.create(step.patches(), batch, length, StepModel.PATCH_SIZE));
        tokens = step.causal() ? Tensor.create(step.tokens(), batch, length) : new Tensor();
      }
      case CaptionModel caption -> {
        long batch = caption.batchSize();
        patches =
            activation(
                Tensor.create(caption.pixels(), batch, caption.patches(), caption.patchSize()));
        tokens = Tensor.create(caption.targets(), batch, caption.textLength());
      }
    }
  }

  List<Tensor> masters() {
    return masters;
  }

  List<Tensor> weights() {
    return weights;
  }

  private Tensor activation(Tensor x) {
    return narrow ? x.to(ScalarType.BFloat16) : x;
  }

  /** The mean loss. */
  Tensor loss() {
    next = 0;
    return switch (model) {
      case StepModel step -> loss(step);
      case CaptionModel caption -> loss(caption);
    };
  }

  private Tensor loss(StepModel step) {
    Tensor x = step.causal() ? embedding(weight(), tokens) : throughLinear(patches);
    x = x.add(weight());
    x = blocks(x, step.layers(), step.headCount(), step.causal(), ALL);
    x = norm(x);
    if (!step.causal()) {
      x = x.mean(1);
    }
    return crossEntropy(linear(x, weight()).reshape(-1, step.classes()));
  }

  private Tensor loss(CaptionModel caption) {
    Tensor x = throughLinear(patches).add(weight());
    x = blocks(x, caption.layers(), caption.visionHeads(), false, ALL);
    x = norm(norm(x));
    x = throughLinear(gelu(throughLinear(x)));
    Tensor read = embedding(weight(), tokens);
    // Under autocast the products are bf16 and the table is F32.
    TensorVector parts = new TensorVector(x.to(read.scalar_type()), read);
    Tensor y = cat(parts, 1).add(weight());
    Positions scored = new Positions(caption.patches() - 1L, caption.textLength());
    Positions ends = caption.peerScoresOnly() ? scored : ALL;
    y = blocks(y, caption.layers(), caption.headCount(), true, ends);
    Tensor rows = norm(caption.peerScoresOnly() ? y : scored.of(y));
    return crossEntropy(linear(rows, weight()).reshape(-1, caption.vocabularySize()));
  }

  private Tensor crossEntropy(Tensor logits) {
    return cross_entropy_loss(narrow ? logits.to(ScalarType.Float) : logits, targets);
  }

  private Tensor weight() {
    return weights.get(next++);
  }

  private Tensor norm(Tensor x) {
    long[] size = {x.size(-1)};
    return layer_norm(
        x, size, optionals.get(next++), optionals.get(next++), StepModel.NORM_EPSILON, true);
  }

  private Tensor throughLinear(Tensor x) {
    return linear(x, weights.get(next++), optionals.get(next++));
  }

  /**
   * x [B,S,d] through pre-norm transformer blocks.
   *
   * @param ends what the last block goes on with from its attention
   */
  private Tensor blocks(Tensor x, int layers, long heads, boolean causal, Positions ends) {
    long batch = x.size(0);
    long length = x.size(1);
    long size = x.size(2);
    long headSize = size / heads;
    for (int i = 0; i < layers; i++) {
      TensorVector packed = throughLinear(norm(x)).split(size, -1);
      Tensor[] qkv = new Tensor[3];
      for (int part = 0; part < 3; part++) {
        qkv[part] = packed.get(part).view(batch, length, heads, headSize).transpose(1, 2);
      }
      Tensor mixed =
          attend(attention, qkv[0], qkv[1], qkv[2], causal ? mask(length, qkv[0]) : null)
              .transpose(1, 2)
              .reshape(batch, length, size);
      Positions kept = i == layers - 1 ? ends : ALL;
      x = kept.of(x).add(throughLinear(kept.of(mixed)));
      x = x.add(throughLinear(gelu(throughLinear(norm(x)))));
    }
    return x;
  }

  private Tensor mask(long length, Tensor like) {
    return masks.computeIfAbsent(length, size -> causalMask(size, like.scalar_type()));
  }

  /** [S,S]: what is added to the scores, so that no position sees a later one. */
  static Tensor causalMask(long length, ScalarType type) {
    Tensor mask = full(new long[] {length, length}, new Scalar(-1e9)).triu(1).to(type);
    // It outlives the step's scope.
    mask.retainReference();
    return mask;
  }

  /**
   * Attention over q, k, v [B,H,S,D].
   *
   * @param mask added to the scores, or null where every position sees all
   */
  static Tensor attend(
      AttentionForm form, Tensor q, Tensor k, Tensor v, @Nullable Tensor mask) {
    if (form == AttentionForm.FLASH) {
      return scaled_dot_product_attention(
          q, k, v, NONE, 0.0, mask != null, USUAL_SCALE, false);
    }
    Scalar scale = new Scalar(1 / Math.sqrt(q.size(3)));
    Tensor scores = matmul(q.mul(scale), k.transpose(2, 3));
    return matmul(softmax(mask == null ? scores : scores.add(mask), 3), v);
  }
}
