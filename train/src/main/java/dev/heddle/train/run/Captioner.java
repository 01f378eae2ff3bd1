package dev.heddle.train.run;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
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
import dev.heddle.train.dataset.SoundReader;
import dev.heddle.train.dataset.Spectrogram;
import dev.heddle.train.dataset.Voice;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.AudioEncoder;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.LanguageModel;
import dev.heddle.train.model.VisionEncoder;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

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
  private final @Nullable Hearing hearing;

  /** What a model that hears has besides. */
  private record Hearing(AudioEncoder encoder, ModelConfig.Audio sizes, SoundReader sounds) {}

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
    ModelConfig.Audio audio = model.audio();
    this.hearing =
        audio == null
            ? null
            : new Hearing(
                new AudioEncoder(
                    layers,
                    audio,
                    Spectrogram.BANDS,
                    model.projector().hiddenSize(),
                    model.language().hiddenSize()),
                audio,
                data.dataset().sounds());
  }

  /** The model of a checkpoint; its weights belong to the memory scope that is open. */
  public static Captioner load(
      Device device, RunConfig config, TrainingData data, Checkpoint checkpoint) {
    Captioner captioner = new Captioner(device, config, data);
    List<Parameter> parameters = new ArrayList<>(captioner.vision.parameters());
    if (captioner.hearing != null) {
      parameters.addAll(captioner.hearing.encoder.parameters());
    }
    parameters.addAll(captioner.language.parameters());
    ModelCheckpoint.loadWeights(checkpoint, parameters);
    return captioner;
  }

  /**
   * The captions written for drawings of the given emoji, and by a model that hears for their
   * spoken names, in their order.
   */
  public List<List<String>> captions(List<Emoji> emoji, DrawingStyle style, Voice voice) {
    List<List<String>> captions = new ArrayList<>(emoji.size());
    try (GradientMode off = GradientMode.noGrad()) {
      for (int start = 0; start < emoji.size(); start += BATCH) {
        List<Emoji> batch = emoji.subList(start, Math.min(emoji.size(), start + BATCH));
        try (MemoryScope scope = MemoryScope.open()) {
          captions.addAll(written(batch, style, voice));
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

  private List<List<String>> written(List<Emoji> batch, DrawingStyle style, Voice voice) {
    Map<String, Tensor> rows = new LinkedHashMap<>();
    Map<String, int[]> counts = new LinkedHashMap<>();
    rows.put(CaptionModel.VISION, vision.forward(Tensor.constant(read(batch, style))));
    int[] patches = new int[batch.size()];
    Arrays.fill(patches, config.model().vision().patchCount());
    counts.put(CaptionModel.VISION, patches);
    if (hearing != null) {
      int[] clips =
          batch.stream()
              .mapToInt(e -> hearing.sizes.rowCount(data.dataset().frameCount(e, voice)))
              .toArray();
      rows.put(CaptionModel.AUDIO, heard(hearing, batch, voice, clips));
      counts.put(CaptionModel.AUDIO, clips);
    }
    return GreedyDecoding.decode(language, rows, counts, batch.size(), data.textLength()).stream()
        .map(data.tokenizer()::decode)
        .toList();
  }

  private Tensor heard(Hearing ears, List<Emoji> batch, Voice voice, int[] clips) {
    ClipRows layout = new ClipRows(ears.sizes);
    float[] frames = layout.room(clips, new float[0]);
    layout.fill(
        clips,
        frames,
        (i, target, offset) -> ears.sounds.read(batch.get(i), voice, target, offset));
    SequenceSpec lane = SequenceSpec.packed(Arrays.stream(clips).asLongStream().toArray());
    Shape shape = Shape.of(lane.length(), (long) ears.sizes.framesPerRow() * Spectrogram.BANDS);
    return ears.encoder.forward(
        Tensor.constant(NDArray.of(device, shape, frames).cast(layers.dtype())), lane);
  }

  /** The words that the model knows. */
  public WordTokenizer tokenizer() {
    return data.tokenizer();
  }
}
