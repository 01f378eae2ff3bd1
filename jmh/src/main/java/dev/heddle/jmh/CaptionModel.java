package dev.heddle.jmh;

import java.util.ArrayList;
import java.util.List;

/**
 * A captioning model whose training step is measured: a vision transformer over patches, a
 * projector (norm, linear, GELU, linear) into the language model's size, and a causal language
 * model over the image's positions and then the text's. Position i predicts word i + 1, so the head
 * is on the last image position and on all text positions but the last. Heddle's last block goes on
 * from its attention with these positions only.
 *
 * @param name what it is called on the command line and in the table
 * @param layers blocks of the vision transformer, and as many of the language model
 * @param patchSize values of a patch
 * @param patches image positions of a sample
 * @param visionSize size of a patch's vector
 * @param visionHeads heads of the vision transformer
 * @param projectorSize hidden size of the projector
 * @param hiddenSize size of a position's vector in the language model
 * @param headCount heads of the language model
 * @param vocabularySize number of words
 * @param textLength text positions of a sample, each scored
 * @param batchSize samples a step
 * @param peerScoresOnly whether the peer's last block goes on with the scored positions only, too
 */
public record CaptionModel(
    String name,
    int layers,
    int patchSize,
    int patches,
    int visionSize,
    int visionHeads,
    int projectorSize,
    int hiddenSize,
    int headCount,
    int vocabularySize,
    int textLength,
    int batchSize,
    boolean peerScoresOnly)
    implements BenchmarkModel {
  /** 14 million parameters on pictures of 32 x 32 pixels in patches of 4 x 4. */
  public static final CaptionModel VLM =
      new CaptionModel("vlm", 4, 48, 64, 256, 4, 1024, 384, 6, 4096, 32, 32, false);

  /**
   * The same beside a peer that is written to leave out what no loss depends on, as Heddle does.
   */
  public static final CaptionModel VLM_SCORED =
      new CaptionModel("vlm-scored", 4, 48, 64, 256, 4, 1024, 384, 6, 4096, 32, 32, true);

  @Override
  public CaptionModel withBatchSize(int samples) {
    return new CaptionModel(
        name,
        layers,
        patchSize,
        patches,
        visionSize,
        visionHeads,
        projectorSize,
        hiddenSize,
        headCount,
        vocabularySize,
        textLength,
        samples,
        peerScoresOnly);
  }

  @Override
  public List<StepModel.Weight> weights() {
    long v = visionSize;
    long d = hiddenSize;
    List<StepModel.Weight> weights = new ArrayList<>();
    weights.add(new StepModel.Weight("patch.weight", 0.02, v, patchSize));
    weights.add(new StepModel.Weight("patch.bias", 0, v));
    weights.add(new StepModel.Weight("vision.position.weight", 0.02, patches, v));
    for (int i = 0; i < layers; i++) {
      StepModel.addBlock(weights, "vision" + i + ".", v);
    }
    weights.add(new StepModel.Weight("vision.norm.weight", -1, v));
    weights.add(new StepModel.Weight("vision.norm.bias", 0, v));
    weights.add(new StepModel.Weight("projector.norm.weight", -1, v));
    weights.add(new StepModel.Weight("projector.norm.bias", 0, v));
    weights.add(new StepModel.Weight("projector.up.weight", 0.02, projectorSize, v));
    weights.add(new StepModel.Weight("projector.up.bias", 0, projectorSize));
    weights.add(new StepModel.Weight("projector.down.weight", 0.02, d, projectorSize));
    weights.add(new StepModel.Weight("projector.down.bias", 0, d));
    weights.add(new StepModel.Weight("token.weight", 0.02, vocabularySize, d));
    weights.add(new StepModel.Weight("position.weight", 0.02, patches + (long) textLength, d));
    for (int i = 0; i < layers; i++) {
      StepModel.addBlock(weights, "language" + i + ".", d);
    }
    weights.add(new StepModel.Weight("norm.weight", -1, d));
    weights.add(new StepModel.Weight("norm.bias", 0, d));
    weights.add(new StepModel.Weight("head.weight", 0.02, vocabularySize, d));
    return weights;
  }

  /** Patches [batchSize, patches, patchSize]. */
  public float[] pixels() {
    return BenchmarkModel.normal(1, batchSize * patches * patchSize);
  }

  /** Words [batchSize, textLength]; they are what is to be predicted, too. */
  @Override
  public long[] targets() {
    return BenchmarkModel.whole(2, batchSize * textLength, vocabularySize);
  }
}
