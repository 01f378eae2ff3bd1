package dev.heddle.train.run;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.optim.AdamW;
import dev.heddle.optim.CosineSchedule;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan;
import dev.heddle.train.model.FusedBatch;
import dev.heddle.train.model.LanguageModel;
import dev.heddle.train.model.Sequences;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The baseline: the same language model trained on the same captions without any picture. It can
 * only learn which captions are likely, so it writes the same one for every picture.
 */
final class CaptionPrior {
  /** Captions are short: their likelihoods are learned long before the pictures'. */
  private static final int MOST_STEPS = 150;

  private CaptionPrior() {}

  /** Trains the baseline and returns the caption that it writes. */
  static List<String> caption(RunConfig config, TrainingData data, Device device) {
    int steps = Math.min(config.train().steps(), MOST_STEPS);
    try (MemoryScope scope = MemoryScope.open()) {
      Layers layers = new LocalLayers(device, DTypes.of(config.dtype()), config.seed());
      LanguageModel model =
          new LanguageModel(layers, config.model().language(), data.tokenizer().vocabularySize());
      AdamW optimizer =
          new AdamW(model.parameters(), AdamW.Settings.withDecay(config.train().weightDecay()));
      BatchPlan plan =
          new BatchPlan(
              data.dataset().training().size(), config.train().globalBatch(), 1, config.seed());
      CosineSchedule schedule =
          new CosineSchedule(config.train().learningRate(), Math.min(20, steps / 2), steps, 0);
      for (long step = 1; step <= steps; step++) {
        step(data, model, optimizer, plan, step, schedule.at(step));
      }
      try (GradientMode off = GradientMode.noGrad()) {
        int[] tokens =
            GreedyDecoding.decode(model, Map.of(), Map.of(), 1, data.textLength()).getFirst();
        return data.tokenizer().decode(tokens);
      }
    }
  }

  private static void step(
      TrainingData data,
      LanguageModel model,
      AdamW optimizer,
      BatchPlan plan,
      long step,
      double rate) {
    List<List<String>> captions =
        plan.microBatch(step, 0).stream().map(data.dataset()::caption).toList();
    int[] lengths = new int[captions.size()];
    Arrays.fill(lengths, data.textLength());
    CaptionText.Words words = CaptionText.words(captions, data.tokenizer(), lengths);
    FusedBatch batch = new FusedBatch(Map.of(), lengths, false);
    try (MemoryScope scope = MemoryScope.open()) {
      Sequences sequences =
          Sequences.whole(batch, new Interval(0, lengths.length), words.read(), words.targets());
      Tensor loss = model.lossSum(sequences, Map.of());
      loss.backward();
      optimizer.step(rate, 1.0 / Math.max(1, sequences.validTokens()));
      optimizer.clearGradients();
    }
  }
}
