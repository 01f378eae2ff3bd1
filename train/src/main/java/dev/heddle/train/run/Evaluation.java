package dev.heddle.train.run;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.CaptionMetrics;
import dev.heddle.train.dataset.DrawingStyle;
import dev.heddle.train.dataset.Emoji;
import dev.heddle.train.dataset.EmojiDataset.EvaluationSet;
import java.util.ArrayList;
import java.util.List;

/**
 * How good a trained model's captions are.
 *
 * @param results the scores on each set of pictures
 * @param priorCaption the caption that the baseline writes for every picture
 * @param written captions for held-out pictures, to be looked at
 */
public record Evaluation(List<Result> results, List<String> priorCaption, List<Written> written) {
  /** At most this many pictures of a set: more would say the same and take minutes. */
  private static final int MOST_PICTURES = 400;

  /**
   * The scores on one set.
   *
   * @param name what the pictures are
   * @param model the model's
   * @param prior those of the baseline, which sees no picture
   */
  public record Result(String name, CaptionMetrics model, CaptionMetrics prior) {}

  /**
   * A picture with its captions.
   *
   * @param emoji what it shows
   * @param style which drawing
   * @param caption what the model wrote
   */
  public record Written(Emoji emoji, DrawingStyle style, List<String> caption) {}

  /** Evaluates the model of a checkpoint on one device. */
  static Evaluation of(
      RunConfig config, TrainingData data, Checkpoint checkpoint, RankDevices devices) {
    try (Device device = devices.alone("evaluation");
        MemoryScope scope = MemoryScope.open()) {
      List<String> prior = CaptionPrior.caption(config, data, device);
      Captioner captioner = Captioner.load(device, config, data, checkpoint);
      List<Result> results = new ArrayList<>();
      List<Written> written = new ArrayList<>();
      for (EvaluationSet whole : data.dataset().evaluationSets()) {
        EvaluationSet set = whole.limit(MOST_PICTURES);
        List<List<String>> captions = captioner.captions(set.emoji(), set.style(), set.voice());
        results.add(result(name(config, set), set, captions, prior));
        if (set.emoji().stream().noneMatch(data.dataset().training()::contains)) {
          for (int i = 0; i < captions.size(); i++) {
            written.add(new Written(set.emoji().get(i), set.style(), captions.get(i)));
          }
        }
      }
      return new Evaluation(results, prior, written);
    }
  }

  private static String name(RunConfig config, EvaluationSet set) {
    if (config.model().audio() == null) {
      return set.name();
    }
    return set.name()
        + switch (set.voice()) {
          case FIRST -> ", trained voice";
          case SECOND -> ", another voice";
        };
  }

  private static Result result(
      String name, EvaluationSet set, List<List<String>> captions, List<String> prior) {
    List<CaptionMetrics.Pair> model = new ArrayList<>();
    List<CaptionMetrics.Pair> baseline = new ArrayList<>();
    for (int i = 0; i < captions.size(); i++) {
      List<String> truth = set.emoji().get(i).words();
      model.add(new CaptionMetrics.Pair(captions.get(i), truth));
      baseline.add(new CaptionMetrics.Pair(prior, truth));
    }
    return new Result(name, CaptionMetrics.of(model), CaptionMetrics.of(baseline));
  }

  /** {@code count} of the written captions, spread evenly. */
  public List<Written> examples(int count) {
    List<Written> some = new ArrayList<>();
    int wanted = Math.min(count, written.size());
    for (int i = 0; i < wanted; i++) {
      some.add(written.get((int) ((long) i * written.size() / wanted)));
    }
    return some;
  }
}
