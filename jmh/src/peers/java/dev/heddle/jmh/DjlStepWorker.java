package dev.heddle.jmh;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.nn.Activation;
import ai.djl.nn.core.Embedding;
import ai.djl.nn.core.Linear;
import ai.djl.nn.norm.LayerNorm;
import ai.djl.training.GradientCollector;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * {@link StepModel} in libtorch, driven through DJL as its users would, in F32. DJL has no fused
 * attention, so attention is composed; the optimizer is DJL's own AdamW.
 */
public final class DjlStepWorker {
  private final StepModel model;
  private final NDManager root;
  private final List<NDArray> weights = new ArrayList<>();
  private final List<NDArray> inputs = new ArrayList<>();
  // A number kept as an array: what mul(Number) makes is freed before the backward reads it.
  private final NDArray scale;
  private final Optimizer optimizer =
      Optimizer.adamW()
          .optLearningRateTracker(Tracker.fixed((float) StepModel.LEARNING_RATE))
          .optWeightDecays((float) StepModel.WEIGHT_DECAY)
          .build();

  private final Clock clock;
  private long optimizerNanos;

  private DjlStepWorker(StepModel model, NDManager root, int threads) {
    this.clock = new Clock(threads);
    this.model = model;
    this.root = root;
    List<StepModel.Weight> all = model.weights();
    for (int i = 0; i < all.size(); i++) {
      NDArray weight = root.create(model.initial(i), new Shape(all.get(i).dims()));
      weight.setRequiresGradient(true);
      weights.add(weight);
    }
    scale = root.create((float) (1 / Math.sqrt(model.hiddenSize() / model.headCount())));
    long batch = model.batchSize();
    long sequence = model.sequenceLength();
    if (model.causal()) {
      inputs.add(root.create(model.tokens(), new Shape(batch, sequence)));
      inputs.add(root.create(model.targets(), new Shape(batch * sequence, 1)));
      float[] mask = new float[(int) (sequence * sequence)];
      for (int i = 0; i < sequence; i++) {
        for (int j = i + 1; j < sequence; j++) {
          mask[(int) (i * sequence + j)] = -1e9f;
        }
      }
      inputs.add(root.create(mask, new Shape(1, 1, sequence, sequence)));
    } else {
      inputs.add(
          root.create(model.patches(), new Shape(batch, sequence, StepModel.PATCH_SIZE)));
      inputs.add(root.create(model.targets(), new Shape(batch, 1)));
    }
  }

  private NDArray loss() {
    int next = 0;
    NDArray x;
    if (model.causal()) {
      x =
          Embedding.embedding(inputs.get(0), weights.get(next++), SparseFormat.DENSE)
              .singletonOrThrow();
    } else {
      x = linear(inputs.get(0), weights.get(next++), weights.get(next++));
    }
    x = x.add(weights.get(next++));
    for (int i = 0; i < model.layers(); i++) {
      NDArray y = norm(x, weights.get(next++), weights.get(next++));
      NDArray mixed = attention(linear(y, weights.get(next++), weights.get(next++)));
      x = x.add(linear(mixed, weights.get(next++), weights.get(next++)));
      y = norm(x, weights.get(next++), weights.get(next++));
      y = Activation.gelu(linear(y, weights.get(next++), weights.get(next++)));
      x = x.add(linear(y, weights.get(next++), weights.get(next++)));
    }
    x = norm(x, weights.get(next++), weights.get(next++));
    if (!model.causal()) {
      x = x.mean(new int[] {1});
    }
    NDArray logits = x.matMul(weights.get(next).transpose());
    if (model.causal()) {
      logits = logits.reshape(-1, model.classes());
    }
    return logits.logSoftmax(-1).gather(inputs.get(1), 1).neg().mean();
  }

  /** Queries, keys and values [B,S,3d] to the mixed values [B,S,d]. */
  private NDArray attention(NDArray packed) {
    long batch = model.batchSize();
    long sequence = model.sequenceLength();
    long heads = model.headCount();
    long headSize = model.hiddenSize() / heads;
    NDArray split =
        packed.reshape(batch, sequence, 3, heads, headSize).transpose(2, 0, 3, 1, 4);
    NDArray scores =
        split.get(0).matMul(split.get(1).transpose(0, 1, 3, 2)).mul(scale);
    if (model.causal()) {
      scores = scores.add(inputs.get(2));
    }
    return scores
        .softmax(-1)
        .matMul(split.get(2))
        .transpose(0, 2, 1, 3)
        .reshape(batch, sequence, model.hiddenSize());
  }

  private NDArray norm(NDArray x, NDArray weight, NDArray bias) {
    return LayerNorm.layerNorm(
            x, new Shape(model.hiddenSize()), weight, bias, StepModel.NORM_EPSILON)
        .singletonOrThrow();
  }

  private static NDArray linear(NDArray x, NDArray weight, NDArray bias) {
    return Linear.linear(x, weight, bias).singletonOrThrow();
  }

  private double step() {
    double value;
    // What a step makes belongs to a manager of its own, which frees it all at the end.
    try (NDManager step = root.newSubManager()) {
      attach(step);
      try (GradientCollector collector = Engine.getInstance().newGradientCollector()) {
        NDArray loss = loss();
        value = loss.getFloat();
        collector.backward(loss);
      }
      long start = clock.nanos();
      for (int i = 0; i < weights.size(); i++) {
        try (NDArray gradient = weights.get(i).getGradient()) {
          optimizer.update("weight" + i, weights.get(i), gradient);
        }
      }
      optimizerNanos = clock.nanos() - start;
      attach(root);
    }
    return value;
  }

  private void attach(NDManager manager) {
    weights.forEach(weight -> weight.attach(manager));
    inputs.forEach(input -> input.attach(manager));
  }

  /** Arguments: the model's name, the number of threads, and {@code f32}. */
  public static void main(String[] arguments) throws IOException {
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("OPT_OUT_TRACKING", "true");
    System.setProperty("ai.djl.pytorch.num_threads", arguments[1]);
    System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
    try (NDManager root = NDManager.newBaseManager()) {
      if (!(BenchmarkModel.named(arguments[0]) instanceof StepModel model)
          || Precision.labelled(arguments[2]) != Precision.F32) {
        throw new IllegalArgumentException(
            "DjlStepWorker: got " + String.join(" ", arguments) + ", wanted gpt or vit, in f32");
      }
      DjlStepWorker worker = new DjlStepWorker(model, root, Integer.parseInt(arguments[1]));
      Engine engine = Engine.getInstance();
      StepProtocol.serve(
          "libtorch " + engine.getVersion() + " through DJL, " + arguments[1] + " thread(s)",
          worker::step,
          () -> worker.optimizerNanos,
          () -> 0);
    }
    System.exit(0);
  }
}
