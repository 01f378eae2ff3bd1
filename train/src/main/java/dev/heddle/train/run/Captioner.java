package dev.heddle.train.run;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.DrawingStyle;
import dev.heddle.train.dataset.Emoji;
import dev.heddle.train.dataset.PictureReader;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.LanguageModel;
import dev.heddle.train.model.VisionEncoder;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes captions with a trained model, held whole by one rank, taking the most probable word at
 * each place (greedy decoding).
 */
public final class Captioner {
  private static final int BATCH = 64;

  private final Device device;
  private final RunConfig config;
  private final TrainingData data;
  private final Layers layers;
  private final VisionEncoder vision;
  private final LanguageModel language;
  private final PictureReader pictures;

  private Captioner(Device device, RunConfig config, TrainingData data) {
    this.device = device;
    this.config = config;
    this.data = data;
    this.layers = new LocalLayers(device, DTypes.of(config.dtype()), config.seed());
    ModelConfig model = config.model();
    this.vision =
        new VisionEncoder(
            layers, model.vision(), model.projector().hiddenSize(), model.language().hiddenSize());
    this.language = new LanguageModel(layers, model.language(), data.tokenizer().vocabularySize());
    this.pictures = data.dataset().pictures(model.vision().imageSize());
  }

  /** The model of a checkpoint; its weights belong to the memory scope that is open. */
  public static Captioner load(
      Device device, RunConfig config, TrainingData data, Checkpoint checkpoint) {
    Captioner captioner = new Captioner(device, config, data);
    List<Parameter> parameters = new ArrayList<>(captioner.vision.parameters());
    parameters.addAll(captioner.language.parameters());
    ModelCheckpoint.loadWeights(checkpoint, parameters);
    return captioner;
  }

  /** The captions written for drawings of the given emoji, in their order. */
  public List<List<String>> captions(List<Emoji> emoji, DrawingStyle style) {
    List<List<String>> captions = new ArrayList<>(emoji.size());
    try (GradientMode off = GradientMode.noGrad()) {
      for (int start = 0; start < emoji.size(); start += BATCH) {
        List<Emoji> batch = emoji.subList(start, Math.min(emoji.size(), start + BATCH));
        try (MemoryScope scope = MemoryScope.open()) {
          captions.addAll(captions(vision.forward(Tensor.constant(read(batch, style))), batch));
        }
      }
    }
    return captions;
  }

  private NDArray read(List<Emoji> emoji, DrawingStyle style) {
    int size = config.model().vision().imageSize();
    float[] values = new float[emoji.size() * pictures.pictureLength()];
    MemorySegment target = MemorySegment.ofArray(values);
    for (int i = 0; i < emoji.size(); i++) {
      long offset = (long) i * pictures.pictureLength() * Float.BYTES;
      pictures.read(emoji.get(i), style, target, offset);
    }
    return NDArray.of(device, Shape.of(emoji.size(), 3, size, size), values).cast(layers.dtype());
  }

  private List<List<String>> captions(Tensor rows, List<Emoji> batch) {
    return GreedyDecoding.decode(
            language, rows, config.model().vision().patchCount(), batch.size(), data.textLength())
        .stream()
        .map(data.tokenizer()::decode)
        .toList();
  }

  /** The words that the model knows. */
  public WordTokenizer tokenizer() {
    return data.tokenizer();
  }
}
