package dev.heddle.train.model;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Linear;
import dev.heddle.nn.Module;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A transformer over spectrograms and the projector to the language model's width: each row is a
 * few consecutive frames, and attention sees the rows of its own clip. Clips have different
 * lengths; those of a data lane stand one after the other without padding, [1,S,C], as the
 * documents of a {@link SequenceSpec}. Positions are sinusoids (Vaswani et al., 2017), so no clip
 * is too long.
 *
 * <p>Like {@link VisionEncoder} it may be one rank's stages of the whole encoder: the first stage
 * has the embedding, the last the final norm and the projector.
 */
public final class AudioEncoder extends Module {
  private static final double LONGEST_WAVE = 10000;

  private final Layers layers;
  private final ModelConfig.Audio sizes;
  private final Stages stages;
  private final @Nullable Linear embedding;
  private final EncoderBlocks blocks;

  /** The whole encoder of frames of {@code bands} values. */
  public AudioEncoder(
      Layers layers,
      ModelConfig.Audio sizes,
      int bands,
      int projectorHiddenSize,
      int languageSize) {
    this(layers, sizes, bands, projectorHiddenSize, languageSize, Stages.whole(sizes.layers()));
  }

  /**
   * The stages of an encoder that this rank runs.
   *
   * @param bands values of a frame
   * @param languageSize features of the rows that come out
   */
  public AudioEncoder(
      Layers layers,
      ModelConfig.Audio sizes,
      int bands,
      int projectorHiddenSize,
      int languageSize,
      Stages stages) {
    this.layers = layers;
    this.sizes = sizes;
    this.stages = stages;
    this.embedding = stages.runs(0) ? own(embedding(bands)) : null;
    this.blocks =
        own(
            new EncoderBlocks(
                layers,
                "audio",
                new EncoderBlocks.Sizes(
                    sizes.layers(),
                    sizes.hiddenSize(),
                    sizes.heads(),
                    sizes.recompute(),
                    projectorHiddenSize,
                    languageSize),
                stages));
  }

  private Linear embedding(int bands) {
    int values = sizes.framesPerRow() * bands;
    return new Linear(
        layers,
        "audio.frames",
        values,
        sizes.hiddenSize(),
        1 / Math.sqrt(values),
        UnaryOperation.IDENTITY);
  }

  /** The stages, and which of them this rank runs. */
  public Stages stages() {
    return stages;
  }

  /** Features of a row between the stages. */
  public int size() {
    return sizes.hiddenSize();
  }

  /** The rows of a lane that this rank holds, in the order of its buffer. */
  public long[] heldRows(SequenceSpec clips) {
    return layers.heldPositions(clips);
  }

  /** All stages: see {@link #forward(int, Tensor, SequenceSpec)}. */
  public Tensor forward(Tensor frames, SequenceSpec clips) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor x = frames;
      for (int stage = 0; stage < stages.count(); stage++) {
        x = forward(stage, x, clips);
      }
      return inside.keep(x);
    }
  }

  /**
   * One stage.
   *
   * @param stage a stage of this rank
   * @param x for the first stage the frames of the {@linkplain #heldRows held rows}, [S_held,
   *     framesPerRow bands]; for the others what the stage before handed on, [1,S_held,features]
   * @param clips the rows of each clip of the lane
   * @return what the next stage takes in; for the last stage the rows [S_held, language features]
   */
  public Tensor forward(int stage, Tensor x, SequenceSpec clips) {
    stages.require(stage, "audio encoder");
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = stage == 0 ? entered(x, clips) : x;
      return inside.keep(blocks.forward(stage, y, clips));
    }
  }

  private Tensor entered(Tensor frames, SequenceSpec clips) {
    long rows = frames.dim(0);
    Tensor embedded = Objects.requireNonNull(embedding).forward(frames);
    NDArray positions = sinusoids(clips.documentPositions(heldRows(clips)));
    return reshape(add(embedded, Tensor.constant(positions)), 1, rows, size());
  }

  /** Sines in the even features, cosines in the odd ones, each pair slower than the one before. */
  private NDArray sinusoids(long[] positions) {
    int size = size();
    double[] values = new double[positions.length * size];
    for (int i = 0; i < positions.length; i++) {
      for (int feature = 0; feature < size; feature++) {
        double turn = positions[i] / StrictMath.pow(LONGEST_WAVE, (feature & ~1) / (double) size);
        values[i * size + feature] =
            (feature & 1) == 0 ? StrictMath.sin(turn) : StrictMath.cos(turn);
      }
    }
    return NDArray.of(layers.device(), layers.dtype(), Shape.of(positions.length, size), values);
  }
}
