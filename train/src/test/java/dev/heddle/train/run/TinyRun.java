package dev.heddle.train.run;

import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.checkpoint.CheckpointStore;
import dev.heddle.train.config.DataConfig;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.Precision;
import dev.heddle.train.config.RankSet;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.config.TrainConfig;
import dev.heddle.train.dataset.EmojiDataset;
import dev.heddle.train.report.StepMetrics;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A real training run small enough for a test: 40 emoji, a model of 8 features. */
final class TinyRun {
  static final ModelConfig MODEL =
      new ModelConfig(
          new ModelConfig.Vision(1, 8, 4, 16, 32),
          new ModelConfig.Projector(10),
          new ModelConfig.Language(2, 8, 4, 16));

  /** The same with ears; a name is up to 19 rows. */
  static final ModelConfig HEARING =
      new ModelConfig(
          MODEL.vision(),
          new ModelConfig.Audio(1, 8, 2, 16, false),
          MODEL.projector(),
          new ModelConfig.Language(2, 8, 4, 40));

  static final int STEPS = 8;

  private TinyRun() {}

  /** Vision and language on ranks from {@code first} on, tp times dp of them. */
  static Placement placement(int first, int tp, int dp) {
    return new Placement(RankSet.range(first, tp * dp), tp, 1, 1, dp);
  }

  /** The same with an optimizer that its replicas divide. */
  static Placement divided(Placement placement) {
    ParallelConfig.Division usual = placement.division();
    return new Placement(
        placement.ranks(),
        placement.tp(),
        placement.cp(),
        placement.pp(),
        placement.dp(),
        new ParallelConfig.Division(
            usual.cpMethod(), usual.sequenceParallel(), usual.stageLayers(), usual.chunks(), true));
  }

  static ParallelConfig layout(Placement vision, Placement language) {
    int ranks = 1 + Math.max(vision.ranks().last(), language.ranks().last());
    return new ParallelConfig(ranks, vision, language);
  }

  static final ParallelConfig ONE_RANK = layout(placement(0, 1, 1), placement(0, 1, 1));
  static final ParallelConfig DP2_TP2 = layout(placement(0, 1, 2), placement(0, 2, 1));
  static final ParallelConfig TP2_DP2 = layout(placement(0, 2, 1), placement(0, 1, 2));
  static final ParallelConfig TP3_APART_DP2 = layout(placement(2, 3, 1), placement(0, 1, 2));

  static final ParallelConfig DIVIDED_DP2_TP2 =
      layout(divided(placement(0, 1, 2)), placement(0, 2, 1));
  static final ParallelConfig DIVIDED_TP2DP2_DP3 =
      layout(divided(placement(0, 2, 2)), divided(placement(1, 1, 3)));

  /** A run in {@code folder}, where the data are put if they are not there. */
  static RunConfig config(Path folder, ParallelConfig layout) {
    return new RunConfig(
        5,
        folder.resolve("run"),
        Precision.F64,
        new DataConfig(DataConfig.EMOJI, 10, data(folder)),
        MODEL,
        layout,
        new TrainConfig(STEPS, 5, 2, 0.01, 2, 0.01, 1.0));
  }

  /** The same run of the model with ears, the audio encoder placed as said. */
  static RunConfig hearing(RunConfig config, Placement audio) {
    ParallelConfig layout = config.parallel();
    int ranks = Math.max(layout.ranks(), 1 + audio.ranks().last());
    return with(config, config.dtype(), HEARING)
        .withParallel(
            new ParallelConfig(
                ranks,
                layout.schedule(),
                layout.boundary(),
                layout.vision(),
                audio,
                layout.language()));
  }

  static RunConfig with(RunConfig config, Precision dtype, ModelConfig model) {
    return new RunConfig(
        config.seed(),
        config.output(),
        dtype,
        config.data(),
        model,
        config.parallel(),
        config.train());
  }

  static RunConfig with(RunConfig config, TrainConfig train) {
    return new RunConfig(
        config.seed(),
        config.output(),
        config.dtype(),
        config.data(),
        config.model(),
        config.parallel(),
        train);
  }

  private static Path data(Path folder) {
    Path data = folder.resolve("data");
    try {
      if (!Files.isDirectory(data)) {
        Files.createDirectory(data);
        List<String> files = new ArrayList<>(DataConfig.EMOJI_FILES);
        files.addAll(DataConfig.EMOJI_SOUND_FILES);
        for (String file : files) {
          try (InputStream stream =
              Objects.requireNonNull(EmojiDataset.class.getResourceAsStream("emoji/" + file))) {
            Files.copy(stream, data.resolve(file));
          }
        }
        Path list = data.resolve(DataConfig.EMOJI_FILES.getFirst());
        Files.write(list, Files.readAllLines(list).subList(0, 40));
      }
      return data;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static TrainingData data(RunConfig config) {
    return TrainingData.open(config);
  }

  /** The same data for a model laid out otherwise. */
  static TrainingData data(TrainingData data, RunConfig config) {
    return TrainingData.of(config, data.dataset(), data.tokenizer());
  }

  /** Trains to a step; what each step came to. */
  static List<StepMetrics> train(
      RunConfig config, TrainingData data, @Nullable Checkpoint resumed, int lastStep) {
    List<StepMetrics> steps = new ArrayList<>();
    new TrainingRun(config, data(data, config)).train(resumed, lastStep, steps::add);
    return steps;
  }

  static Checkpoint newest(RunConfig config) {
    return CheckpointStore.resume(config.output());
  }
}
