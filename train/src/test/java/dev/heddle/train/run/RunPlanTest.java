package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.ScheduleTimeline;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Traffic;
import dev.heddle.parallel.redistribute.TransferPlan;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.config.TrainConfig;
import dev.heddle.train.json.Json;
import dev.heddle.train.report.StepMetrics;
import dev.heddle.train.run.RunPlan.RankClass;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RunPlanTest {
  @TempDir Path folder;

  private static Placement pipeline(int first, int pp) {
    return new Placement(RankSet.range(first, pp), 1, 1, pp, 1);
  }

  private RunConfig config(ParallelConfig layout, int microBatches, boolean frozen) {
    RunConfig config = TinyRun.config(folder, layout);
    TrainConfig train = config.train();
    return TinyRun.with(
        config,
        new TrainConfig(
            train.steps(),
            4 * microBatches,
            microBatches,
            train.learningRate(),
            train.warmupSteps(),
            train.weightDecay(),
            train.clipNorm(),
            1,
            frozen ? Map.of("vision", new TrainConfig.ComponentTraining(null, true)) : Map.of()));
  }

  private static RunPlan plan(RunConfig config) {
    return RunPlan.of(config, TinyRun.data(config));
  }

  /** Vision divided over the ranks of a pipelined language model. */
  private RunConfig colocated(int microBatches) {
    return config(TinyRun.layout(TinyRun.placement(0, 1, 2), pipeline(0, 2)), microBatches, false);
  }

  @Test
  void text_saysWhatEachRankHasAndDoes() {
    String text = PlanText.of(plan(colocated(2)));
    assertThat(text)
        .contains(
            """
            components
              vision     dp=2 on ranks 0-1                        0.01 M parameters
                         optimizer not divided
                         stage 0  blocks 0  0.01 M parameters a rank  ranks 0-1
              language   pp=2 on ranks 0-1                        0.00 M parameters
                         optimizer not divided
                         stage 0  blocks 0  0.00 M parameters a rank  rank 0
                         stage 1  blocks 1  0.00 M parameters a rank  rank 1
            """)
        .contains(
            """
                forward, direct: 16 rows x 8 features of 8 bytes
                phase     from  to  features  bytes  does    rows
                exchange     0   0  [0,8)       512  copies  [0,8) 0>0
                exchange     1   0  [0,8)       512  sends   [8,16) 0>8

                rank  sends  receives  lower bound  copies
                   0      0       512          512     512
                   1    512         0            0       0
                 all    512       512          512     512

                backward, direct: 16 rows x 8 features of 8 bytes
            """)
        .contains("schedule of a step: 1f1b, 2 microbatches")
        .contains("ranks  peak live microbatches  time")
        .contains("memory, PREDICTED")
        .contains(
            """
            proof
              vision -> language: forward and backward verified element by element: 16 rows x 8\
             features, each read where it lies and written once, nothing sent to who holds it
              schedule: \
            """)
        .contains("it ends when every message is a rendezvous");
    List<String> picture = text.lines().dropWhile(line -> !line.contains("peak live")).toList();
    assertThat(picture.get(1)).startsWith("  0      vision ").contains("vf0", "F0", "B0", "vb0");
    assertThat(picture.get(2)).startsWith("  1      vision ").contains("vf0", "F0", "B0", "vb0");
    assertThat(text.lines()).allSatisfy(line -> assertThat(line).isEqualTo(line.stripTrailing()));
  }

  @Test
  void picture_ofASimplePipeline_showsCellsAndBubbles() {
    RunConfig config = config(TinyRun.layout(TinyRun.placement(2, 1, 1), pipeline(0, 2)), 3, false);
    RunPlan plan = plan(config);
    List<String> rows = new SchedulePicture(plan).lines();
    assertThat(rows).hasSize(3);
    // The last stage of the language model: forward and backward in turn, nothing before its first.
    assertThat(rows.get(1)).matches("[.]+F0-*B0-*[.]*F1-*B1-*[.]*F2-*B2-*[.]*");
    assertThat(rows.get(2)).startsWith("vf0");
    assertThat(rows).allSatisfy(row -> assertThat(row).hasSameSizeAs(rows.getFirst()));
  }

  @Test
  void json_saysTheSameAsThePlansItIsMadeOf() {
    RunConfig config = colocated(4);
    RunPlan plan = plan(config);
    Map<String, @Nullable Object> document = Json.parseObject(PlanDocument.of(plan));
    assertThat(Json.whole(document.get("ranks"), "ranks")).isEqualTo(2);

    Map<String, @Nullable Object> schedule = Json.object(document.get("schedule"), "schedule");
    ScheduleTimeline timeline =
        ScheduleTimeline.of(
            TinyRun.data(config)
                .graph()
                .schedule(config.parallel().schedule(), config.train().microBatches()));
    assertThat(Json.whole(schedule.get("stepTime"), "stepTime")).isEqualTo(timeline.end());
    assertThat(Json.number(schedule.get("bubbleShare"), "bubbleShare"))
        .isEqualTo(timeline.bubbleShare());

    Map<String, @Nullable Object> boundary =
        Json.object(Json.list(document.get("boundaries"), "boundaries").getFirst(), "boundary");
    BoundaryPlan crossing = Objects.requireNonNull(plan.boundaries().get("vision -> language"));
    agrees(Json.object(boundary.get("forward"), "forward"), crossing.forward());
    agrees(Json.object(boundary.get("backward"), "backward"), crossing.backward().orElseThrow());

    List<@Nullable Object> classes = Json.list(document.get("classes"), "classes");
    assertThat(classes).hasSize(2);
    for (int rank = 0; rank < 2; rank++) {
      Map<String, @Nullable Object> ofRank = Json.object(classes.get(rank), "class");
      Map<String, @Nullable Object> live = Json.object(ofRank.get("peakLive"), "peakLive");
      for (String component : List.of("vision", "language")) {
        assertThat(Json.whole(live.get(component), component))
            .isEqualTo(timeline.peakLive(rank, component));
      }
      assertThat(Json.list(ofRank.get("spans"), "spans"))
          .hasSize(timeline.spans().get(rank).size());
    }
  }

  private static void agrees(Map<String, @Nullable Object> direction, TransferPlan transfers) {
    Traffic traffic = transfers.traffic();
    assertThat(Json.whole(direction.get("bytes"), "bytes")).isEqualTo(8 * traffic.total());
    assertThat(Json.whole(direction.get("lowerBound"), "lowerBound"))
        .isEqualTo(8 * transfers.lowerBound());
    Map<Traffic.Link, Long> links = new LinkedHashMap<>();
    for (Object entry : Json.list(direction.get("links"), "links")) {
      Map<String, @Nullable Object> link = Json.object(entry, "link");
      links.put(
          new Traffic.Link(
              (int) Json.whole(link.get("from"), "from"), (int) Json.whole(link.get("to"), "to")),
          Json.whole(link.get("bytes"), "bytes") / 8);
    }
    assertThat(links).isEqualTo(traffic.links());
  }

  @Test
  void frozenVision_getsNothingBack() {
    RunPlan plan =
        plan(config(TinyRun.layout(TinyRun.placement(0, 1, 2), pipeline(0, 2)), 2, true));
    assertThat(plan.boundaries().get("vision -> language").backward()).isEmpty();
    assertThat(plan.classes())
        .allSatisfy(
            ranks ->
                assertThat(ranks.spans())
                    .noneMatch(
                        span ->
                            span.what() instanceof Backward
                                && span.what().component().equals("vision")));
    assertThat(PlanText.of(plan))
        .contains("FROZEN", "backward: nothing is sent, the source is frozen", "nothing goes back")
        .doesNotContain("vb0");
    Map<String, @Nullable Object> boundary =
        Json.object(
            Json.list(Json.parseObject(PlanDocument.of(plan)).get("boundaries"), "boundaries")
                .getFirst(),
            "boundary");
    assertThat(boundary).containsEntry("backward", null);
    // A frozen component has no gradients and no optimizer state: rank 0 trains language only.
    assertThat(plan.classes().getFirst().memory().gradients())
        .isLessThan(plan.classes().getFirst().memory().parameters());
  }

  @Test
  void colocatedWithAPipeline_boundsLiveEncoderWorkWhateverTheMicrobatches() {
    List<Integer> live = new ArrayList<>();
    for (int microBatches : List.of(4, 16, 32)) {
      RunPlan plan = plan(colocated(microBatches));
      live.add(
          plan.classes().stream()
              .mapToInt(ranks -> ranks.peakLive().getOrDefault("vision", -1))
              .max()
              .orElseThrow());
      assertThat(plan.timeline().end())
          .as(microBatches + " microbatches")
          .isLessThanOrEqualTo(plan.encodersFirst().orElseThrow());
    }
    assertThat(live).containsExactly(3, 3, 3);
  }

  @ParameterizedTest
  @ValueSource(strings = {"one rank", "dp and tp", "apart", "pipeline"})
  void predictedMemory_isCloseToWhatARunNeeds(String which) {
    ParallelConfig layout =
        switch (which) {
          case "one rank" -> TinyRun.ONE_RANK;
          case "dp and tp" -> TinyRun.DIVIDED_DP2_TP2;
          case "apart" -> TinyRun.TP3_APART_DP2;
          default -> TinyRun.layout(TinyRun.placement(0, 1, 2), pipeline(0, 2));
        };
    RunConfig tiny = TinyRun.config(folder, layout);
    // Wide enough that arrays, not the pool's rounding, decide.
    RunConfig config =
        TinyRun.with(
            tiny,
            tiny.dtype(),
            new ModelConfig(
                new ModelConfig.Vision(2, 64, 4, 8, 32),
                new ModelConfig.Projector(64),
                new ModelConfig.Language(2, 64, 4, 32)));
    TrainingData data = TinyRun.data(config);
    long predicted =
        RunPlan.of(config, data).classes().stream()
            .map(RankClass::memory)
            .mapToLong(MemoryForecast.RankMemory::peak)
            .max()
            .orElseThrow();
    List<StepMetrics> steps = TinyRun.train(config, data, null, 2);
    assertThat((double) predicted / steps.getLast().peakBytes()).isBetween(0.8, 1.25);
  }

  @Test
  void document_showsWhatIsPrinted() throws IOException {
    String document = Files.readString(Path.of("../docs/plan.md"));
    List<ConfigOverride> sets =
        Pattern.compile("--set (\\S+=\\S+)")
            .matcher(document.substring(document.indexOf("./heddle plan examples/emoji")))
            .results()
            .limit(8)
            .map(match -> ConfigOverride.set(match.group(1)))
            .toList();
    RunConfig config = ConfigLoader.load(Path.of("../examples/emoji-captions.yaml"), sets);
    String text = PlanText.of(plan(config).withSteps(TinyRun.data(config)));
    for (String section : text.split("\n(?=boundaries,|schedule of|memory,|launches|proof)")) {
      assertThat(document).contains(section.strip());
    }
  }

  @Test
  @Timeout(60)
  void thousandsOfRanks_arePlannedInSeconds() {
    RunConfig config = ConfigLoader.load(Path.of("../examples/plan-70b.yaml"), List.of());
    RunPlan plan = RunPlan.of(config, TrainingData.open(config));
    assertThat(plan.timeline().spans()).hasSize(4096);
    assertThat(plan.components().getFirst().parameters()).isGreaterThan(4_900_000_000L);
    assertThat(plan.components().getLast().parameters()).isGreaterThan(69_000_000_000L);
    assertThat(plan.classes().stream().mapToInt(ranks -> ranks.ranks().size()).sum())
        .isEqualTo(4096);
    assertThat(plan.classes()).hasSize(32);
    assertThat(plan.timeline().end()).isLessThanOrEqualTo(plan.encodersFirst().orElseThrow());
    assertThat(PlanText.of(plan)).contains("0-7,256-263,..,3840-3847 (128)", "(cut: the first ");
    assertThat(Json.list(Json.parseObject(PlanDocument.of(plan)).get("classes"), "classes"))
        .hasSize(32);
  }
}
