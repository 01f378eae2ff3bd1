package dev.heddle.train.run;

import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.dataset.EmojiDataset;
import dev.heddle.train.dataset.PictureReader;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.LanguageProgram;
import dev.heddle.train.model.VisionProgram;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Loads what one rank's components need of each step: the pictures of its part of the vision
 * component's samples, the captions of its part of the language component's. It reads no others.
 */
final class StepSamples {
  private final RunConfig config;
  private final ModelGraph graph;
  private final int rank;
  private final EmojiDataset dataset;
  private final WordTokenizer tokenizer;
  private final Map<String, ComponentProgram> programs;
  private final BatchPlan plan;
  private final PictureReader pictures;
  private final int textLength;
  private final RowCounts[] rowCounts;

  /** The pictures of each microbatch, the same arrays in every step. */
  private final float[][] pictureValues;

  StepSamples(
      RunConfig config,
      ModelGraph graph,
      int rank,
      EmojiDataset dataset,
      WordTokenizer tokenizer,
      int textLength,
      Map<String, ComponentProgram> programs) {
    this.config = config;
    this.graph = graph;
    this.rank = rank;
    this.dataset = dataset;
    this.tokenizer = tokenizer;
    this.textLength = textLength;
    this.programs = programs;
    this.plan =
        new BatchPlan(
            dataset.training().size(),
            config.train().globalBatch(),
            config.train().microBatches(),
            config.seed());
    this.pictures = dataset.pictures(config.model().vision().imageSize());
    this.pictureValues = new float[config.train().microBatches()][0];
    this.rowCounts = new RowCounts[config.train().microBatches()];
    for (int i = 0; i < rowCounts.length; i++) {
      rowCounts[i] = CaptionModel.rowCounts(config.model(), plan.microBatch(1, i).size());
    }
  }

  /** The rows that each sample of a microbatch sends from vision to language. */
  RowCounts rows(int microBatch) {
    return rowCounts[microBatch];
  }

  /** How many pictures this rank has read. */
  long pictureCount() {
    return pictures.pictureCount();
  }

  /** Hands this rank's programs their samples of a step. */
  void stage(long step) {
    int microBatches = config.train().microBatches();
    if (programs.get(CaptionModel.VISION) instanceof VisionProgram vision) {
      for (int i = 0; i < microBatches; i++) {
        readPictures(mine(CaptionModel.VISION, step, i), i);
      }
      vision.stage(pictureValues);
    }
    if (programs.get(CaptionModel.LANGUAGE) instanceof LanguageProgram language) {
      List<LanguageProgram.Captions> parts = new ArrayList<>();
      for (int i = 0; i < microBatches; i++) {
        parts.add(captions(mine(CaptionModel.LANGUAGE, step, i)));
      }
      language.stage(parts);
    }
  }

  private List<Sample> mine(String component, long step, int microBatch) {
    Mesh mesh = graph.mesh(component);
    return plan.samples(step, microBatch, mesh.coordinate(rank, Axis.DP), mesh.size(Axis.DP));
  }

  private void readPictures(List<Sample> samples, int microBatch) {
    int length = pictures.pictureLength();
    if (pictureValues[microBatch].length != samples.size() * length) {
      pictureValues[microBatch] = new float[samples.size() * length];
    }
    MemorySegment target = MemorySegment.ofArray(pictureValues[microBatch]);
    for (int i = 0; i < samples.size(); i++) {
      pictures.readTraining(samples.get(i), target, (long) i * length * Float.BYTES);
    }
  }

  private LanguageProgram.Captions captions(List<Sample> samples) {
    return CaptionText.captions(
        samples.stream().map(dataset::caption).toList(), tokenizer, textLength);
  }
}
