package dev.heddle.train.run;

import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.dataset.PictureReader;
import dev.heddle.train.model.AudioProgram;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import dev.heddle.train.model.LanguageProgram;
import dev.heddle.train.model.VisionProgram;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Loads what one rank's components need of each step: the pictures of its part of the vision
 * component's samples, the spoken names of its part of the audio component's, the captions of its
 * part of the language component's. It reads no others.
 */
final class StepSamples {
  private final RunConfig config;
  private final TrainingData data;
  private final int rank;
  private final Map<String, ComponentProgram> programs;
  private final StepPlan plan;
  private final PictureReader pictures;
  private final @Nullable ClipStage clips;
  private final FusedBatch[] batches;

  /** The pictures of each microbatch, the same arrays in every step where their number is. */
  private final float[][] pictureValues;

  StepSamples(
      RunConfig config, TrainingData data, int rank, Map<String, ComponentProgram> programs) {
    this.config = config;
    this.data = data;
    this.rank = rank;
    this.programs = programs;
    this.plan = new StepPlan(config, data);
    this.pictures = data.dataset().pictures(config.model().vision().imageSize());
    this.clips =
        config.model().audio() != null
                && programs.get(CaptionModel.AUDIO) instanceof AudioProgram program
            ? new ClipStage(config, data, program)
            : null;
    int microBatches = config.train().microBatches();
    this.pictureValues = new float[microBatches][0];
    this.batches = new FusedBatch[microBatches];
  }

  /** The rows of a microbatch of the staged step that cross the boundary from an encoder. */
  RowPlacement rows(String encoder, int microBatch) {
    return CaptionModel.rows(config.parallel(), batches[microBatch], encoder);
  }

  /** How many pictures this rank has read. */
  long pictureCount() {
    return pictures.pictureCount();
  }

  /** How many spoken names this rank has read. */
  long clipCount() {
    return clips == null ? 0 : clips.clipCount();
  }

  /** Hands this rank's programs their samples of a step. */
  void stage(long step) {
    int microBatches = batches.length;
    int[] pictureCounts = new int[microBatches];
    List<LanguageProgram.Captions> captions = new ArrayList<>();
    VisionProgram vision =
        programs.get(CaptionModel.VISION) instanceof VisionProgram program ? program : null;
    LanguageProgram language =
        programs.get(CaptionModel.LANGUAGE) instanceof LanguageProgram program ? program : null;
    for (int i = 0; i < microBatches; i++) {
      List<Sample> samples = plan.samples(step, i);
      batches[i] = plan.batch(samples);
      if (vision != null) {
        List<Sample> seen =
            part(samples, lane(CaptionModel.VISION, samples.size())).stream()
                .filter(Sample::hasPicture)
                .toList();
        pictureCounts[i] = seen.size();
        readPictures(vision.readsPictures() ? seen : List.of(), i);
      }
      if (clips != null) {
        List<Sample> heard = part(samples, lane(CaptionModel.AUDIO, samples.size()));
        clips.read(i, heard, plan.clipRows(heard));
      }
      if (language != null) {
        Interval lane = lane(CaptionModel.LANGUAGE, samples.size());
        captions.add(captions(batches[i], lane, part(samples, lane)));
      }
    }
    if (vision != null) {
      vision.stage(pictureCounts, pictureValues);
    }
    if (clips != null) {
      clips.stage();
    }
    if (language != null) {
      language.stage(captions);
    }
  }

  private Interval lane(String component, int samples) {
    Mesh mesh = data.graph().mesh(component);
    return StepPlan.lane(samples, mesh.size(Axis.DP), mesh.coordinate(rank, Axis.DP));
  }

  private static List<Sample> part(List<Sample> samples, Interval part) {
    return samples.subList((int) part.start(), (int) part.end());
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

  private LanguageProgram.Captions captions(FusedBatch batch, Interval lane, List<Sample> samples) {
    CaptionText.Words words =
        CaptionText.words(
            samples.stream().map(data.dataset()::caption).toList(),
            data.tokenizer(),
            samples.stream().mapToInt(plan::textLength).toArray());
    return new LanguageProgram.Captions(batch, lane, words.read(), words.targets());
  }
}
