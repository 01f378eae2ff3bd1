package dev.heddle.jmh;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Concat.concat;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.BlockContext;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Linear;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;

/** {@link CaptionModel} built from {@code nn}. */
final class CaptionNetwork extends StepNetwork {
  private final CaptionModel model;
  private final Linear patch;
  private final Parameter visionPosition;
  private final TransformerBlock[] visionBlocks;
  private final LayerNorm visionNorm;
  private final LayerNorm projectorNorm;
  private final Linear projectorUp;
  private final Linear projectorDown;
  private final Embedding token;
  private final Parameter position;
  private final TransformerBlock[] blocks;
  private final LayerNorm norm;
  private final VocabularyHead head;

  /** The positions that are scored, sample after sample: what the last block goes on with. */
  private final NDArray scored;

  CaptionNetwork(CaptionModel model, Layers layers) {
    this.model = model;
    double deviation = TransformerBlock.DEVIATION;
    Initializer normal = new Initializer.Normal(deviation);
    UnaryOperation none = UnaryOperation.IDENTITY;
    long d = model.hiddenSize();
    long v = model.visionSize();
    long wide = model.projectorSize();
    patch = own(new Linear(layers, "patch", model.patchSize(), v, deviation, none));
    visionPosition =
        own(layers.parameter("vision.position.weight", Shape.of(model.patches(), v), normal));
    visionBlocks = blocks(layers, "vision", v, model.visionHeads(), AttentionMask.FULL);
    visionNorm = own(new LayerNorm(layers, "vision.norm", v));
    projectorNorm = own(new LayerNorm(layers, "projector.norm", v));
    projectorUp = own(new Linear(layers, "projector.up", v, wide, deviation, UnaryOperation.GELU));
    projectorDown = own(new Linear(layers, "projector.down", wide, d, deviation, none));
    token = own(new Embedding(layers, "token", model.vocabularySize(), d, deviation));
    long positions = model.patches() + (long) model.textLength();
    position = own(layers.parameter("position.weight", Shape.of(positions, d), normal));
    blocks = blocks(layers, "language", d, model.headCount(), AttentionMask.CAUSAL);
    norm = own(new LayerNorm(layers, "norm", d));
    head = own(new VocabularyHead(layers, "head", d, model.vocabularySize(), deviation));
    long[] rows = scoredRows();
    scored = NDArray.of(layers.device(), Shape.of(rows.length), rows);
  }

  private long[] scoredRows() {
    long[] rows = new long[model.batchSize() * model.textLength()];
    long positions = model.patches() + (long) model.textLength();
    for (int i = 0; i < rows.length; i++) {
      long sample = i / model.textLength();
      rows[i] = sample * positions + model.patches() - 1 + i % model.textLength();
    }
    return rows;
  }

  private TransformerBlock[] blocks(
      Layers layers, String name, long size, int heads, AttentionMask mask) {
    TransformerBlock[] made = new TransformerBlock[model.layers()];
    for (int i = 0; i < made.length; i++) {
      made[i] = own(new TransformerBlock(layers, name + i, size, heads, mask, model.layers()));
    }
    return made;
  }

  @Override
  Tensor lossSum(StepBatch batch) {
    if (batch.patches() == null || batch.tokens() == null) {
      throw new IllegalArgumentException("CaptionNetwork: wanted patches and tokens");
    }
    long samples = model.batchSize();
    long text = model.textLength();
    long d = model.hiddenSize();
    Tensor x = add(patch.forward(Tensor.constant(batch.patches())), visionPosition.tensor());
    for (TransformerBlock block : visionBlocks) {
      x = block.forward(x);
    }
    Tensor narrow = projectorNorm.forward(visionNorm.forward(x));
    Tensor seen = projectorDown.forward(projectorUp.forward(narrow));
    Tensor read = reshape(token.forward(batch.tokens()), samples, text, d);
    Tensor y = add(concat(1, seen, read), position.tensor());
    int last = blocks.length - 1;
    for (int i = 0; i < last; i++) {
      y = blocks[i].forward(y);
    }
    y = blocks[last].forwardRows(y, scored, BlockContext.NONE);
    return head.lossSum(norm.forward(y), batch.targets());
  }
}
