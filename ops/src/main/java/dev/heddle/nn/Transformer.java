package dev.heddle.nn;

import dev.heddle.autograd.Recompute;
import dev.heddle.autograd.Tensor;
import java.util.ArrayList;
import java.util.List;

/** A stack of transformer blocks and a last norm. x [B,S,C] -> y [B,S,C]. */
public final class Transformer extends Module {
  private final List<TransformerBlock> blocks = new ArrayList<>();
  private final Norm norm;

  /** A stack of {@code shape.layerCount()} blocks called {@code name.block0}, and so on. */
  public Transformer(Layers layers, String name, TransformerShape shape) {
    super(name);
    for (int i = 0; i < shape.layerCount(); i++) {
      blocks.add(add(new TransformerBlock(layers, name + ".block" + i, shape)));
    }
    norm =
        switch (shape.norm()) {
          case LAYER ->
              add(new LayerNorm(layers, name + ".norm", shape.hiddenSize(), shape.epsilon()));
          case RMS -> add(new RmsNorm(layers, name + ".norm", shape.hiddenSize(), shape.epsilon()));
        };
  }

  /** The stack's result for {@code x}. */
  public Tensor forward(Tensor x, BlockContext context) {
    Tensor y = x;
    for (TransformerBlock block : blocks) {
      y = block.forward(y, context);
    }
    return norm.forward(y);
  }

  /** {@link #forward}, keeping only each block's input and computing the rest again backward. */
  public Tensor forwardRecomputed(Tensor x, BlockContext context) {
    Tensor y = x;
    for (TransformerBlock block : blocks) {
      y = Recompute.recompute(input -> block.forward(input, context), y);
    }
    return norm.forward(y);
  }

  /** The blocks, first to last. */
  public List<TransformerBlock> blocks() {
    return List.copyOf(blocks);
  }
}
