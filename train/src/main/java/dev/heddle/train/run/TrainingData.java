package dev.heddle.train.run;

import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.Emoji;
import dev.heddle.train.dataset.EmojiDataset;
import dev.heddle.train.dataset.Voice;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.Workload;
import java.util.function.ToIntFunction;

/**
 * What all ranks of a run share, none of which changes: the data set (drawings are decoded when
 * asked for), the words, and the graph of components.
 *
 * @param dataset the pictures and captions
 * @param tokenizer the words of the training captions
 * @param textLength positions that a caption takes in a sequence
 * @param graph the components on their meshes
 */
public record TrainingData(
    EmojiDataset dataset, WordTokenizer tokenizer, int textLength, ModelGraph graph) {
  /** What {@code config} describes. */
  public static TrainingData open(RunConfig config) {
    EmojiDataset dataset = EmojiDataset.open(config.data(), config.seed());
    WordTokenizer tokenizer =
        WordTokenizer.build(dataset.training().stream().map(Emoji::words).toList());
    return of(config, dataset, tokenizer);
  }

  /** The same data for a model that is laid out as {@code config} says. */
  static TrainingData of(RunConfig config, EmojiDataset dataset, WordTokenizer tokenizer) {
    int textLength = CaptionText.textLength(dataset);
    return new TrainingData(
        dataset,
        tokenizer,
        textLength,
        CaptionModel.graph(
                config.model(),
                config.parallel(),
                config.data().packed(),
                workload(config, dataset, tokenizer, textLength))
            .withFrozen(config.train().frozen()));
  }

  private static Workload workload(
      RunConfig config, EmojiDataset dataset, WordTokenizer tokenizer, int textLength) {
    ModelConfig.Audio audio = config.model().audio();
    double clipRows =
        audio == null ? 0 : mean(dataset, e -> audio.rowCount(dataset.frameCount(e, Voice.FIRST)));
    double words =
        config.data().packed()
            ? mean(dataset, emoji -> CaptionText.textLength(emoji.words()))
            : textLength;
    return new Workload(
        (double) config.train().globalBatch() / config.train().microBatches(),
        1 - config.data().textOnly(),
        clipRows,
        words,
        tokenizer.vocabularySize());
  }

  private static double mean(EmojiDataset dataset, ToIntFunction<Emoji> size) {
    return dataset.training().stream().mapToInt(size).average().orElse(0);
  }
}
