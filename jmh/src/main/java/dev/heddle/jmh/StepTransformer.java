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
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@link StepModel} built from {@code nn}, as a user would. */
public final class StepTransformer extends Module {
  private final StepModel model;
  private final @Nullable Embedding token;
  private final @Nullable Linear patch;
  private final Parameter position;
  private final TransformerBlock[] blocks;
  private final LayerNorm norm;
  private final VocabularyHead head;

  /** A model with the first weights that {@link StepModel} names. */
  public StepTransformer(StepModel model, Layers layers) {
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
    copyWeights();
  }

  /** Both list the weights in the order of the forward pass; packed ones differ in shape only. */
  private void copyWeights() {
    List<StepModel.Weight> weights = model.weights();
    if (weights.size() != parameters().size()) {
      throw new IllegalStateException(
          "StepTransformer: "
              + parameters().size()
              + " parameters for "
              + weights.size()
              + " weights");
    }
    for (int i = 0; i < weights.size(); i++) {
      NDArray value = parameters().get(i).tensor().value();
      StepModel.Weight weight = weights.get(i);
      String kind = weight.name().substring(weight.name().lastIndexOf('.'));
      if (value.size() != weight.size() || !parameters().get(i).name().endsWith(kind)) {
        throw new IllegalStateException(
            "StepTransformer: parameter " + parameters().get(i) + " is not " + weight);
      }
      float[] initial = model.initial(i);
      double[] values = new double[initial.length];
      for (int j = 0; j < values.length; j++) {
        values[j] = initial[j];
      }
      value.writeDoubles(values);
    }
  }

  /**
   * The sum of the losses.
   *
   * @param inputs tokens [B S] I64, or patches [B,S,{@link StepModel#PATCH_SIZE}]
   * @param targets [B S] for a language model, else [B]
   */
  public Tensor lossSum(NDArray inputs, NDArray targets) {
    long batch = model.batchSize();
    long length = model.sequenceLength();
    long size = model.hiddenSize();
    Tensor x;
    if (token != null) {
      x = reshape(token.forward(inputs), batch, length, size);
    } else if (patch != null) {
      x = patch.forward(Tensor.constant(inputs));
    } else {
      throw new IllegalStateException("StepTransformer: neither tokens nor patches");
    }
    x = add(x, position.tensor());
    for (TransformerBlock block : blocks) {
      x = block.forward(x);
    }
    x = norm.forward(x);
    Tensor rows = model.causal() ? reshape(x, batch * length, size) : mean(x, 1);
    return head.lossSum(rows, targets);
  }
}
