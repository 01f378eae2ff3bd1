package dev.heddle.jmh.gpu;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Concat.concat;
import static dev.heddle.ops.Reshape.reshape;
import static dev.heddle.ops.Slice.slice;

import dev.heddle.autograd.Tensor;
import dev.heddle.jmh.StepModel;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Linear;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.optim.AdamW;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** Trains a captioning model of the sizes of the benchmarks on one batch, step by step. */
final class CaptionStep implements AutoCloseable {
  /**
   * The sizes of the model.
   *
   * @param layers blocks of the vision encoder, and as many of the language model
   * @param visionSize size of a patch's vector
   * @param visionHeads heads of the vision encoder
   * @param patches image positions of a sample
   * @param projectorSize hidden size of the projector
   * @param hiddenSize size of a position's vector in the language model
   * @param headCount heads of the language model
   * @param vocabularySize number of words
   * @param textLength text positions of a sample; the head is on these
   * @param batchSize samples
   */
  record Sizes(
      int layers,
      int visionSize,
      int visionHeads,
      int patches,
      int projectorSize,
      int hiddenSize,
      int headCount,
      int vocabularySize,
      int textLength,
      int batchSize) {
    static final Sizes USUAL = new Sizes(4, 256, 4, 64, 1024, 384, 6, 4096, 32, 32);
    static final Sizes TINY = new Sizes(1, 32, 2, 4, 48, 64, 2, 64, 4, 2);

    Map<String, Long> toMap() {
      Map<String, Long> map = new LinkedHashMap<>();
      map.put("layers", (long) layers);
      map.put("vision_size", (long) visionSize);
      map.put("vision_heads", (long) visionHeads);
      map.put("patches", (long) patches);
      map.put("patch_size", (long) StepModel.PATCH_SIZE);
      map.put("projector_size", (long) projectorSize);
      map.put("hidden_size", (long) hiddenSize);
      map.put("heads", (long) headCount);
      map.put("vocabulary", (long) vocabularySize);
      map.put("text", (long) textLength);
      map.put("batch", (long) batchSize);
      return map;
    }
  }

  private static final class Model extends Module {
    private final Sizes sizes;
    private final Linear patch;
    private final Parameter visionPosition;
    private final TransformerBlock[] visionBlocks;
    private final LayerNorm visionNorm;
    private final Linear projectorUp;
    private final Linear projectorDown;
    private final Embedding token;
    private final Parameter position;
    private final TransformerBlock[] blocks;
    private final LayerNorm norm;
    private final VocabularyHead head;

    Model(Sizes sizes, LocalLayers layers) {
      this.sizes = sizes;
      double deviation = TransformerBlock.DEVIATION;
      Initializer normal = new Initializer.Normal(deviation);
      long d = sizes.hiddenSize();
      long v = sizes.visionSize();
      patch =
          own(
              new Linear(
                  layers, "patch", StepModel.PATCH_SIZE, v, deviation, UnaryOperation.IDENTITY));
      visionPosition =
          own(layers.parameter("vision.position.weight", Shape.of(sizes.patches(), v), normal));
      visionBlocks = blocks(layers, "vision", v, sizes.visionHeads(), AttentionMask.FULL);
      visionNorm = own(new LayerNorm(layers, "vision.norm", v));
      projectorUp =
          own(
              new Linear(
                  layers,
                  "projector.up",
                  v,
                  sizes.projectorSize(),
                  deviation,
                  UnaryOperation.GELU));
      projectorDown =
          own(
              new Linear(
                  layers,
                  "projector.down",
                  sizes.projectorSize(),
                  d,
                  deviation,
                  UnaryOperation.IDENTITY));
      token = own(new Embedding(layers, "token", sizes.vocabularySize(), d, deviation));
      long positions = sizes.patches() + (long) sizes.textLength();
      position = own(layers.parameter("position.weight", Shape.of(positions, d), normal));
      blocks = blocks(layers, "language", d, sizes.headCount(), AttentionMask.CAUSAL);
      norm = own(new LayerNorm(layers, "norm", d));
      head = own(new VocabularyHead(layers, "head", d, sizes.vocabularySize(), deviation));
    }

    private TransformerBlock[] blocks(
        LocalLayers layers, String name, long size, int heads, AttentionMask mask) {
      TransformerBlock[] made = new TransformerBlock[sizes.layers()];
      for (int i = 0; i < made.length; i++) {
        made[i] = own(new TransformerBlock(layers, name + i, size, heads, mask, sizes.layers()));
      }
      return made;
    }

    Tensor lossSum(NDArray patches, NDArray tokens, NDArray targets) {
      long batch = sizes.batchSize();
      long text = sizes.textLength();
      long d = sizes.hiddenSize();
      Tensor x = add(patch.forward(Tensor.constant(patches)), visionPosition.tensor());
      for (TransformerBlock block : visionBlocks) {
        x = block.forward(x);
      }
      Tensor seen = projectorDown.forward(projectorUp.forward(visionNorm.forward(x)));
      Tensor read = reshape(token.forward(tokens), batch, text, d);
      Tensor y = add(concat(1, seen, read), position.tensor());
      for (TransformerBlock block : blocks) {
        y = block.forward(y);
      }
      Tensor scored = slice(norm.forward(y), 1, sizes.patches(), sizes.patches() + text);
      return head.lossSum(reshape(scored, batch * text, d), targets);
    }
  }

  private final Device device;
  private final MemoryScope lasting;
  private final Model model;
  private final AdamW optimizer;
  private final NDArray patches;
  private final NDArray tokens;
  private final NDArray targets;

  /** A trainer on {@code device}, which it closes; it belongs to the calling thread. */
  CaptionStep(Sizes sizes, Device device, DType dtype) {
    this.device = device;
    this.lasting = MemoryScope.open();
    this.model = new Model(sizes, new LocalLayers(device, dtype, 1));
    this.optimizer =
        new AdamW(model.parameters(), new AdamW.Settings(0.9, 0.999, 1e-8, StepModel.WEIGHT_DECAY));
    Random random = new Random(1);
    Shape shape = Shape.of(sizes.batchSize(), sizes.patches(), StepModel.PATCH_SIZE);
    double[] values = new double[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextGaussian();
    }
    this.patches = NDArray.of(device, dtype, shape, values);
    this.tokens = words(device, random, sizes);
    this.targets = words(device, random, sizes);
  }

  private static NDArray words(Device device, Random random, Sizes sizes) {
    long[] words =
        random
            .ints((long) sizes.batchSize() * sizes.textLength(), 0, sizes.vocabularySize())
            .asLongStream()
            .toArray();
    return NDArray.of(device, Shape.of(words.length), words);
  }

  /** Forward, backward and AdamW; returns the mean loss before the update. */
  double step() {
    long count = targets.size();
    double loss;
    try (MemoryScope step = MemoryScope.open()) {
      Tensor sum = model.lossSum(patches, tokens, targets);
      sum.backward();
      loss = sum.item() / count;
    }
    optimizer.step(StepModel.LEARNING_RATE, 1.0 / count);
    optimizer.clearGradients();
    return loss;
  }

  @Override
  public void close() {
    lasting.close();
    device.close();
  }
}
