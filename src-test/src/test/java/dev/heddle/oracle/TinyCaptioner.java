package dev.heddle.oracle;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.PlaceRows.placeRows;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Linear;
import dev.heddle.nn.Mlp;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.Random;

/**
 * A captioning model of a few thousand weights: patches through a transformer with full attention,
 * a projector, their rows placed into a text sequence, and a causal transformer over it.
 */
final class TinyCaptioner extends Module {
  static final int IMAGES = 2;
  static final int SAMPLES = 3;
  static final int PATCHES = 4;
  static final int PATCH_VALUES = 12;
  static final int VISION_SIZE = 16;
  static final int VISION_HEADS = 2;
  static final int LANGUAGE_SIZE = 24;
  static final int LANGUAGE_HEADS = 3;
  static final int PROJECTOR_SIZE = 20;
  static final int LENGTH = 9;
  static final int WORDS = 29;
  static final int LAYERS = 2;
  private static final double DEVIATION = 0.02;

  private final Linear patch;
  private final Parameter patchPosition;
  private final TransformerBlock[] visionBlocks = new TransformerBlock[LAYERS];
  private final LayerNorm visionNorm;
  private final Mlp projector;
  private final Embedding words;
  private final Parameter wordPosition;
  private final TransformerBlock[] languageBlocks = new TransformerBlock[LAYERS];
  private final LayerNorm languageNorm;
  private final VocabularyHead head;

  TinyCaptioner(Layers layers) {
    Initializer.Normal normal = new Initializer.Normal(DEVIATION);
    patch =
        own(
            new Linear(
                layers, "vision.patch", PATCH_VALUES, VISION_SIZE, 0.1, UnaryOperation.IDENTITY));
    patchPosition =
        own(layers.parameter("vision.position.weight", Shape.of(PATCHES, VISION_SIZE), normal));
    for (int i = 0; i < LAYERS; i++) {
      visionBlocks[i] =
          own(
              new TransformerBlock(
                  layers,
                  "vision.block" + i,
                  VISION_SIZE,
                  VISION_HEADS,
                  AttentionMask.FULL,
                  LAYERS));
    }
    visionNorm = own(new LayerNorm(layers, "vision.norm", VISION_SIZE));
    projector =
        own(
            new Mlp(
                layers,
                "projector",
                Mlp.Kind.GELU,
                VISION_SIZE,
                PROJECTOR_SIZE,
                LANGUAGE_SIZE,
                0.1,
                0.1));
    words = own(new Embedding(layers, "language.word", WORDS, LANGUAGE_SIZE, DEVIATION));
    wordPosition =
        own(layers.parameter("language.position.weight", Shape.of(LENGTH, LANGUAGE_SIZE), normal));
    for (int i = 0; i < LAYERS; i++) {
      languageBlocks[i] =
          own(
              new TransformerBlock(
                  layers,
                  "language.block" + i,
                  LANGUAGE_SIZE,
                  LANGUAGE_HEADS,
                  AttentionMask.CAUSAL,
                  LAYERS));
    }
    languageNorm = own(new LayerNorm(layers, "language.norm", LANGUAGE_SIZE));
    head = own(new VocabularyHead(layers, "language.head", LANGUAGE_SIZE, WORDS, DEVIATION));
  }

  /** Moves all weights off their initial values: zeros and ones hide mistakes. */
  void shake(Random random) {
    for (Parameter parameter : parameters()) {
      NDArray value = parameter.tensor().value();
      double[] values = value.toDoubles();
      for (int i = 0; i < values.length; i++) {
        values[i] += 0.1 * random.nextGaussian();
      }
      value.writeDoubles(values);
    }
  }

  /**
   * The sum of the losses of the words that count.
   *
   * @param patches [IMAGES, PATCHES, PATCH_VALUES]
   */
  Tensor lossSum(NDArray patches, NDArray ids, NDArray rows, NDArray targets) {
    Tensor x = add(patch.forward(Tensor.constant(patches)), patchPosition.tensor());
    for (TransformerBlock block : visionBlocks) {
      x = block.forward(x);
    }
    Tensor image = projector.forward(visionNorm.forward(x));
    Tensor fused =
        placeRows(words.forward(ids), rows, reshape(image, (long) IMAGES * PATCHES, LANGUAGE_SIZE));
    Tensor y = add(reshape(fused, SAMPLES, LENGTH, LANGUAGE_SIZE), wordPosition.tensor());
    for (TransformerBlock block : languageBlocks) {
      y = block.forward(y);
    }
    Tensor flat = reshape(languageNorm.forward(y), (long) SAMPLES * LENGTH, LANGUAGE_SIZE);
    return head.lossSum(flat, targets);
  }

  /**
   * What the model is trained on. The images belong to the first and the last sample; the middle
   * one is text alone, and the last one is padded.
   *
   * @param patches values of [IMAGES, PATCHES, PATCH_VALUES]
   * @param ids [SAMPLES * LENGTH], -1 where an image row goes and in the padding
   * @param rows [IMAGES * PATCHES], the position of each image row
   * @param targets [SAMPLES * LENGTH], -1 where no word is to be said
   */
  record Batch(double[] patches, long[] ids, long[] rows, long[] targets) {
    static Batch draw(Random random) {
      double[] patches = new double[IMAGES * PATCHES * PATCH_VALUES];
      for (int i = 0; i < patches.length; i++) {
        patches[i] = (float) random.nextGaussian();
      }
      long[] ids = new long[SAMPLES * LENGTH];
      long[] targets = new long[SAMPLES * LENGTH];
      long[] rows = new long[IMAGES * PATCHES];
      for (int sample = 0; sample < SAMPLES; sample++) {
        int start = sample * LENGTH;
        int first = sample == 1 ? 0 : PATCHES;
        int end = sample == 2 ? LENGTH - 2 : LENGTH;
        for (int i = 0; i < LENGTH; i++) {
          ids[start + i] = i >= first && i < end ? random.nextInt(WORDS) : -1;
          targets[start + i] = i >= first - 1 && i < end ? random.nextInt(WORDS) : -1;
        }
        for (int i = 0; i < first; i++) {
          rows[(sample == 0 ? 0 : PATCHES) + i] = start + i;
        }
      }
      return new Batch(patches, ids, rows, targets);
    }

    /** How many words count. */
    int words() {
      int count = 0;
      for (long target : targets) {
        count += target >= 0 ? 1 : 0;
      }
      return count;
    }

    NDArray patches(Device device, dev.heddle.runtime.DType dtype) {
      return NDArray.of(device, dtype, Shape.of(IMAGES, PATCHES, PATCH_VALUES), patches);
    }
  }
}
