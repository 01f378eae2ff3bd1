package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** No rank reads others' samples. The batch is 5 samples in microbatches of 3 and 2. */
class StepSamplesTest {
  private static final int STEPS = 3;

  @TempDir Path folder;

  /** For each rank the pictures, the spoken names and the valid tokens of three steps. */
  private record Read(long[] pictures, long[] clips, long[] tokens) {}

  private Read read(ParallelConfig layout) {
    return read(TinyRun.config(folder, layout));
  }

  private static Read read(RunConfig config) {
    ParallelConfig layout = config.parallel();
    TrainingData data = TinyRun.data(config);
    Read read =
        new Read(new long[layout.ranks()], new long[layout.ranks()], new long[layout.ranks()]);
    LocalWorld.run(
        layout.ranks(),
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              Map<String, ComponentProgram> programs =
                  CaptionModel.programs(
                      config.model(),
                      layout,
                      data.tokenizer().vocabularySize(),
                      data.graph(),
                      world,
                      device,
                      DType.F64,
                      1);
              StepSamples samples = new StepSamples(config, data, world.rank(), programs);
              for (int step = 1; step <= STEPS; step++) {
                samples.stage(step);
                for (ComponentProgram program : programs.values()) {
                  read.tokens[world.rank()] += program.validTokens();
                }
              }
              read.pictures[world.rank()] = samples.pictureCount();
              read.clips[world.rank()] = samples.clipCount();
              int patches = config.model().vision().patchCount();
              assertThat(samples.rows(CaptionModel.VISION, 0).counts())
                  .isEqualTo(RowCounts.perSample(patches, patches, patches));
              assertThat(samples.rows(CaptionModel.VISION, 1).counts())
                  .isEqualTo(RowCounts.perSample(patches, patches));
            }));
    return read;
  }

  @Test
  void audio_eachRankReadsItsPart_andRankWithoutItNone() {
    RunConfig deaf = TinyRun.config(folder, TinyRun.DP2_TP2);
    assertThat(read(deaf).clips).containsOnly(0);
    assertThat(read(TinyRun.hearing(deaf, TinyRun.placement(2, 1, 1))).clips)
        .containsExactly(0, 0, STEPS * 5);
    // Of 3 samples 2 and 1, of 2 samples 1 and 1; both tensor ranks of a lane read the lane's.
    Read divided = read(TinyRun.hearing(deaf, TinyRun.placement(1, 2, 2)));
    assertThat(divided.clips).containsExactly(0, STEPS * 3, STEPS * 3, STEPS * 2, STEPS * 2);
    assertThat(divided.pictures).containsExactly(STEPS * 3, STEPS * 2, 0, 0, 0);
  }

  @Test
  void rowsOfSound_areWhatTheIndexSays_uneven() {
    RunConfig config =
        TinyRun.hearing(TinyRun.config(folder, TinyRun.ONE_RANK), TinyRun.placement(0, 1, 1));
    TrainingData data = TinyRun.data(config);
    StepPlan plan = new StepPlan(config, data);
    List<BatchPlan.Sample> samples = plan.samples(1, 0);
    FusedBatch batch = plan.batch(samples);
    int patches = config.model().vision().patchCount();
    List<Integer> rows = new ArrayList<>();
    for (int i = 0; i < samples.size(); i++) {
      int frames = data.dataset().frameCount(samples.get(i));
      assertThat(batch.rows(CaptionModel.AUDIO, i)).isEqualTo((frames + 15) / 16);
      assertThat(batch.firstRow(CaptionModel.AUDIO, i)).as("behind the picture").isEqualTo(patches);
      rows.add(batch.rows(CaptionModel.AUDIO, i));
    }
    assertThat(rows.stream().distinct().count()).as("%s", rows).isGreaterThan(1);
  }

  @Test
  void oneRank_readsEveryPictureOnce() {
    assertThat(read(TinyRun.ONE_RANK).pictures).containsExactly(STEPS * 5);
  }

  @Test
  void dataParallelVision_eachRankReadsItsPart() {
    // Of 3 samples 2 and 1, of 2 samples 1 and 1.
    Read read = read(TinyRun.DP2_TP2);
    assertThat(read.pictures).containsExactly(STEPS * 3, STEPS * 2);
    // Both tensor ranks of language have every caption.
    assertThat(read.tokens[0]).isPositive().isEqualTo(read.tokens[1]);
  }

  @Test
  void tensorParallelVision_everyRankReadsAll_andLanguageRanksReadNone() {
    Read read = read(TinyRun.TP3_APART_DP2);
    assertThat(read.pictures).containsExactly(0, 0, STEPS * 5, STEPS * 5, STEPS * 5);
    assertThat(Arrays.copyOfRange(read.tokens, 2, 5)).containsOnly(0);
    assertThat(read.tokens[0] + read.tokens[1]).isEqualTo(read(TinyRun.ONE_RANK).tokens[0]);
  }
}
