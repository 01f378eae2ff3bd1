package dev.heddle.oracle;

import static dev.heddle.oracle.TinyCaptioner.IMAGES;
import static dev.heddle.oracle.TinyCaptioner.LANGUAGE_HEADS;
import static dev.heddle.oracle.TinyCaptioner.LANGUAGE_SIZE;
import static dev.heddle.oracle.TinyCaptioner.LAYERS;
import static dev.heddle.oracle.TinyCaptioner.LENGTH;
import static dev.heddle.oracle.TinyCaptioner.PATCHES;
import static dev.heddle.oracle.TinyCaptioner.PATCH_VALUES;
import static dev.heddle.oracle.TinyCaptioner.SAMPLES;
import static dev.heddle.oracle.TinyCaptioner.VISION_HEADS;
import static dev.heddle.oracle.TinyCaptioner.VISION_SIZE;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.training.GradientCollector;
import dev.heddle.nn.Parameter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@link TinyCaptioner} written again in libtorch operators, in double precision, with AdamW. */
final class TorchCaptioner {
  private final NDManager manager;
  private final Map<String, Weight> weights = new LinkedHashMap<>();
  private int steps;

  /** A weight with its optimizer state. */
  private static final class Weight {
    private NDArray value;
    private NDArray first;
    private NDArray second;
    private final boolean decays;

    Weight(NDArray value, boolean decays) {
      this.value = value;
      this.first = value.zerosLike();
      this.second = value.zerosLike();
      this.decays = decays;
    }
  }

  /** The same weights, by name. */
  TorchCaptioner(NDManager manager, List<Parameter> parameters) {
    this.manager = manager;
    for (Parameter parameter : parameters) {
      NDArray value = LibTorch.copy(manager, parameter.tensor().value());
      value.setRequiresGradient(true);
      weights.put(parameter.name(), new Weight(value, parameter.decays()));
    }
  }

  /**
   * Forward, backward and an AdamW step.
   *
   * @param gradients receives the gradient of the mean loss for each weight
   * @return the mean loss before the update
   */
  double step(
      TinyCaptioner.Batch batch,
      double learningRate,
      double beta1,
      double beta2,
      double epsilon,
      double decay,
      Map<String, double[]> gradients) {
    double value;
    try (GradientCollector collector = LibTorch.require().newGradientCollector()) {
      NDArray loss = loss(batch);
      value = loss.getDouble();
      collector.backward(loss);
    }
    steps++;
    for (Map.Entry<String, Weight> entry : weights.entrySet()) {
      Weight weight = entry.getValue();
      NDArray gradient = weight.value.getGradient();
      gradients.put(entry.getKey(), LibTorch.values(gradient));
      weight.first = weight.first.mul(beta1).add(gradient.mul(1 - beta1));
      weight.second = weight.second.mul(beta2).add(gradient.square().mul(1 - beta2));
      NDArray mean = weight.first.div(1 - Math.pow(beta1, steps));
      NDArray deviation = weight.second.div(1 - Math.pow(beta2, steps)).sqrt().add(epsilon);
      NDArray change = mean.div(deviation);
      if (weight.decays) {
        change = change.add(weight.value.mul(decay));
      }
      NDArray updated = weight.value.sub(change.mul(learningRate));
      weight.value = manager.create(LibTorch.values(updated), updated.getShape());
      weight.value.setRequiresGradient(true);
    }
    return value;
  }

  private NDArray loss(TinyCaptioner.Batch batch) {
    NDArray x =
        linear(
                "vision.patch",
                manager.create(batch.patches(), new Shape(IMAGES, PATCHES, PATCH_VALUES)))
            .add(get("vision.position.weight"));
    for (int i = 0; i < LAYERS; i++) {
      x = block("vision.block" + i, x, VISION_SIZE, VISION_HEADS, false);
    }
    NDArray image = mlp("projector", norm("vision.norm", x)).reshape(-1, LANGUAGE_SIZE);
    NDArray fused =
        chosen(batch.ids(), TinyCaptioner.WORDS)
            .matMul(get("language.word.weight"))
            .add(chosen(batch.rows(), SAMPLES * LENGTH).swapAxes(0, 1).matMul(image));
    NDArray y = fused.reshape(SAMPLES, LENGTH, LANGUAGE_SIZE).add(get("language.position.weight"));
    for (int i = 0; i < LAYERS; i++) {
      y = block("language.block" + i, y, LANGUAGE_SIZE, LANGUAGE_HEADS, true);
    }
    NDArray logits =
        norm("language.norm", y)
            .reshape(-1, LANGUAGE_SIZE)
            .matMul(get("language.head.weight").swapAxes(0, 1));
    NDArray targets = manager.create(batch.targets());
    NDArray valid = targets.gte(0L).toType(DataType.FLOAT64, false);
    NDArray place = targets.clip(0L, (long) TinyCaptioner.WORDS).expandDims(1);
    NDArray sum = logits.logSoftmax(-1).gather(place, 1).squeeze(1).mul(valid).sum();
    return LibTorch.times(sum, -1.0 / batch.words());
  }

  /** A matrix with a 1 in column {@code columns[i]} of row i; none where that is negative. */
  private NDArray chosen(long[] columns, int columnCount) {
    double[] values = new double[columns.length * columnCount];
    for (int i = 0; i < columns.length; i++) {
      if (columns[i] >= 0) {
        values[i * columnCount + (int) columns[i]] = 1;
      }
    }
    return manager.create(values, new Shape(columns.length, columnCount));
  }

  private NDArray block(String name, NDArray x, long size, long heads, boolean causal) {
    NDArray attended =
        x.add(
            attention(name + ".attention", norm(name + ".attention.norm", x), size, heads, causal));
    return attended.add(mlp(name + ".mlp", norm(name + ".mlp.norm", attended)));
  }

  private NDArray attention(String name, NDArray x, long size, long heads, boolean causal) {
    long batch = x.getShape().get(0);
    long length = x.getShape().get(1);
    NDArray packed =
        x.matMul(get(name + ".qkv.weight").reshape(3 * size, size).swapAxes(0, 1))
            .add(get(name + ".qkv.bias").reshape(3 * size))
            .reshape(batch, length, 3, heads, size / heads)
            .transpose(2, 0, 3, 1, 4);
    NDArray scores =
        LibTorch.times(
            packed.get(0).matMul(packed.get(1).swapAxes(-1, -2)), 1 / Math.sqrt(size / heads));
    if (causal) {
      double[] hidden = new double[(int) (length * length)];
      for (int i = 0; i < length; i++) {
        for (int j = i + 1; j < length; j++) {
          hidden[(int) (i * length) + j] = -1e30;
        }
      }
      scores = scores.add(manager.create(hidden, new Shape(1, 1, length, length)));
    }
    NDArray mixed =
        scores.softmax(-1).matMul(packed.get(2)).transpose(0, 2, 1, 3).reshape(batch, length, size);
    return linear(name + ".output", mixed);
  }

  private NDArray mlp(String name, NDArray x) {
    return linear(name + ".down", Activation.gelu(linear(name + ".up", x)));
  }

  private NDArray linear(String name, NDArray x) {
    return x.matMul(get(name + ".weight").swapAxes(0, 1)).add(get(name + ".bias"));
  }

  /** By the definition: libtorch's own takes its epsilon as a float here. */
  private NDArray norm(String name, NDArray x) {
    NDArray centred = x.sub(x.mean(new int[] {-1}, true));
    NDArray variance = centred.square().mean(new int[] {-1}, true);
    return centred
        .div(variance.add(1e-5).sqrt())
        .mul(get(name + ".weight"))
        .add(get(name + ".bias"));
  }

  private NDArray get(String name) {
    Weight weight = weights.get(name);
    if (weight == null) {
      throw new IllegalArgumentException("no weight " + name + " among " + weights.keySet());
    }
    return weight.value;
  }
}
