package dev.heddle.jmh;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Mean.mean;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Linear;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import org.jspecify.annotations.Nullable;

/** {@link StepModel} built from {@code nn}, as a user would. */
final class StepTransformer extends StepNetwork {
  private final StepModel model;
  private final @Nullable Embedding token;
  private final @Nullable Linear patch;
  private final Parameter position;
  private final TransformerBlock[] blocks;
  private final LayerNorm norm;
  private final VocabularyHead head;

  StepTransformer(StepModel model, Layers layers) {
    this.model = model;
    long size = model.hiddenSize();
    double deviation = TransformerBlock.DEVIATION;
    if (model.causal()) {
      patch = null;
      token = own(new Embedding(layers, "token", model.classes(), size, deviation));
    } else {
      token = null;
      patch =
          own(
              new Linear(
                  layers, "patch", StepModel.PATCH_SIZE, size, deviation, UnaryOperation.IDENTITY));
    }
    position =
        own(
            layers.parameter(
                "position.weight",
                Shape.of(model.sequenceLength(), size),
                new Initializer.Normal(deviation)));
    AttentionMask mask = model.causal() ? AttentionMask.CAUSAL : AttentionMask.FULL;
    blocks = new TransformerBlock[model.layers()];
    for (int i = 0; i < blocks.length; i++) {
      blocks[i] =
          own(
              new TransformerBlock(
                  layers, "block" + i, size, model.headCount(), mask, model.layers()));
    }
    norm = own(new LayerNorm(layers, "norm", size));
    head = own(new VocabularyHead(layers, "head", size, model.classes(), deviation));
  }

  @Override
  Tensor lossSum(StepBatch batch) {
    long samples = model.batchSize();
    long length = model.sequenceLength();
    long size = model.hiddenSize();
    Tensor x;
    if (token != null && batch.tokens() != null) {
      x = reshape(token.forward(batch.tokens()), samples, length, size);
    } else if (patch != null && batch.patches() != null) {
      x = patch.forward(Tensor.constant(batch.patches()));
    } else {
      throw new IllegalStateException("StepTransformer: neither tokens nor patches");
    }
    x = add(x, position.tensor());
    for (TransformerBlock block : blocks) {
      x = block.forward(x);
    }
    x = norm.forward(x);
    Tensor rows = model.causal() ? reshape(x, samples * length, size) : mean(x, 1);
    return head.lossSum(rows, batch.targets());
  }
}
