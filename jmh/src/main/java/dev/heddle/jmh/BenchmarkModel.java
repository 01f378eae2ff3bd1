package dev.heddle.jmh;

import java.util.List;
import java.util.Random;

/**
 * A model whose training step is measured. Its weights and its one batch are drawn from fixed
 * seeds, so that all sides of a comparison compute the same numbers.
 */
public sealed interface BenchmarkModel permits StepModel, CaptionModel {
  /** What it is called on the command line and in tables. */
  String name();

  /** All weights, in the order of the forward pass. Matrices are [outputs, inputs]. */
  List<StepModel.Weight> weights();

  /** The class of every scored position, or of every image. */
  long[] targets();

  /** The first values of weight {@code index} of {@link #weights()}. */
  default float[] initial(int index) {
    StepModel.Weight weight = weights().get(index);
    Random random = new Random(1000L + index);
    float[] values = new float[weight.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          weight.deviation() < 0
              ? 1
              : weight.deviation() == 0 ? 0 : (float) (weight.deviation() * random.nextGaussian());
    }
    return values;
  }

  /** The same model with another batch size, where ranks divide a batch. */
  BenchmarkModel withBatchSize(int samples);

  /**
   * The model called {@code name}.
   *
   * @throws IllegalArgumentException naming the known ones, if it is none of them
   */
  static BenchmarkModel named(String name) {
    List<BenchmarkModel> known =
        List.of(
            StepModel.GPT,
            StepModel.VIT,
            CaptionModel.VLM,
            CaptionModel.VLM_SCORED,
            StepModel.TINY);
    for (BenchmarkModel model : known) {
      if (model.name().equals(name)) {
        return model;
      }
    }
    throw new IllegalArgumentException(
        "BenchmarkModel: there is no model \""
            + name
            + "\"; known: "
            + String.join(", ", known.stream().map(BenchmarkModel::name).toList()));
  }

  /** {@code count} whole numbers below {@code bound}, the same for the same seed. */
  static long[] whole(long seed, int count, int bound) {
    Random random = new Random(seed);
    long[] values = new long[count];
    for (int i = 0; i < count; i++) {
      values[i] = random.nextInt(bound);
    }
    return values;
  }

  /** {@code count} normal values, the same for the same seed. */
  static float[] normal(long seed, int count) {
    Random random = new Random(seed);
    float[] values = new float[count];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
