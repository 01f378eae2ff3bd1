package dev.heddle.train.run;

import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.Emoji;
import dev.heddle.train.dataset.EmojiDataset;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.CaptionModel;

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
    return new TrainingData(
        dataset,
        tokenizer,
        CaptionText.textLength(dataset),
        CaptionModel.graph(config.model(), config.parallel(), config.data().packed())
            .withFrozen(config.train().frozen()));
  }
}
