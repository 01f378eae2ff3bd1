package dev.heddle.nn;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Reshape.reshape;
import static dev.heddle.ops.Slice.slice;

import dev.heddle.autograd.Recompute;
import dev.heddle.autograd.Tensor;
import dev.heddle.ops.DeviceTest;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;

/** A tiny language model to test layers with. */
abstract class ModelTest extends DeviceTest {
  static final int VOCABULARY = 7;
  static final int LENGTH = 5;

  /** Embedding, positions, blocks, norm and head. */
  static final class Language extends Module {
    private final int size;
    private final Embedding words;
    private final Parameter positions;
    private final List<TransformerBlock> blocks = new ArrayList<>();
    private final LayerNorm norm;
    private final VocabularyHead head;

    Language(Layers layers, int size, int heads, int depth, BlockStyle style) {
      this.size = size;
      double deviation = TransformerBlock.DEVIATION;
      words = own(new Embedding(layers, "words", VOCABULARY, size, deviation));
      positions =
          own(
              layers.parameter(
                  "positions", Shape.of(LENGTH, size), new Initializer.Normal(deviation)));
      for (int i = 0; i < depth; i++) {
        blocks.add(
            own(
                new TransformerBlock(
                    layers, "block" + i, size, heads, AttentionMask.CAUSAL, depth, style)));
      }
      norm = own(new LayerNorm(layers, "norm", size));
      head = own(new VocabularyHead(layers, "head", size, VOCABULARY, deviation));
    }

    /** The sum of the losses of {@code targets} after {@code ids}, both [B S]. */
    Tensor loss(NDArray ids, NDArray targets, BlockContext context, boolean recomputed) {
      try (MemoryScope inside = MemoryScope.temporaries()) {
        long batch = ids.size() / LENGTH;
        Tensor rows = reshape(words.forward(ids), batch, LENGTH, size);
        Tensor x = add(rows, slice(positions.tensor(), 0, 0, LENGTH));
        for (TransformerBlock block : blocks) {
          x =
              recomputed
                  ? Recompute.recompute(input -> block.forward(input, context), x)
                  : block.forward(x, context);
        }
        return inside.keep(head.lossSum(reshape(norm.forward(x), batch * LENGTH, size), targets));
      }
    }

    Parameter parameter(String name) {
      return parameters().stream()
          .filter(parameter -> parameter.name().equals(name))
          .findFirst()
          .orElseThrow(() -> new IllegalArgumentException("no parameter " + name));
    }
  }

  LocalLayers layers(DType dtype) {
    return new LocalLayers(device, dtype, SEED);
  }

  /** Two sentences. */
  NDArray ids() {
    return longs(1, 2, 3, 4, 5, 6, 0, 2, 2, 1);
  }

  /** The next words, the last of each sentence ignored. */
  NDArray targets() {
    return longs(2, 3, 4, 5, -1, 0, 2, 2, 1, -1);
  }

  static NDArray gradient(Parameter parameter) {
    NDArray gradient = parameter.tensor().gradient();
    if (gradient == null) {
      throw new AssertionError(parameter + " has no gradient");
    }
    return gradient;
  }
}
