package dev.heddle.parallel.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.Receive;
import dev.heddle.parallel.pipeline.Instruction.ReduceGradients;
import dev.heddle.parallel.pipeline.Instruction.Release;
import dev.heddle.parallel.pipeline.Instruction.Send;
import dev.heddle.parallel.pipeline.Instruction.Step;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import dev.heddle.parallel.pipeline.PipelineGraph.Edge;
import dev.heddle.parallel.pipeline.PipelineGraph.Stages;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class ScheduleTest {
  private static final String BOUNDARY = "vision -> language";

  private static Mesh dp(int first, int count) {
    return Mesh.onRanks(first, count).axis(Axis.DP, count).build();
  }

  private static Mesh pp(int first, int count) {
    return Mesh.onRanks(first, count).axis(Axis.PP, count).build();
  }

  private static Stages stages(String name, Mesh mesh, int count) {
    return new Stages(name, mesh, Collections.nCopies(count, Cost.USUAL));
  }

  private static PipelineGraph captioner(Mesh vision, Mesh language) {
    return captioner(Stages.uniform("vision", vision), Stages.uniform("language", language));
  }

  private static PipelineGraph captioner(Stages vision, Stages language) {
    return new PipelineGraph(
        List.of(vision, language), List.of(new Edge(BOUNDARY, "vision", "language", true)));
  }

  private static PipelineGraph alone(Stages stages) {
    return new PipelineGraph(List.of(stages), List.of());
  }

  /** F0 B0 W0: what a rank computes, without the component's name. */
  private static String brief(Schedule schedule, int rank) {
    return schedule.computeOf(rank).stream()
        .map(ScheduleTest::brief)
        .collect(Collectors.joining(" "));
  }

  private static String brief(Compute compute) {
    String letter =
        switch (compute) {
          case Forward forward -> "F";
          case Backward backward -> "B";
          case WeightGradients weights -> "W";
        };
    return letter + compute.microBatch();
  }

  @Test
  void oneRank_takesOneMicroBatchAfterTheOther() {
    Schedule schedule =
        Schedule.of(
            captioner(Mesh.single(0), Mesh.single(0)), ScheduleKind.ONE_FORWARD_ONE_BACKWARD, 1);

    assertThat(schedule.ranks().get(0))
        .containsExactly(
            new Forward("vision", 0, 0),
            new Send(BOUNDARY, 0, Direction.FORWARD),
            new Receive(BOUNDARY, 0, Direction.FORWARD),
            new Forward("language", 0, 0),
            new Backward("language", 0, 0, false),
            new Send(BOUNDARY, 0, Direction.BACKWARD),
            new Receive(BOUNDARY, 0, Direction.BACKWARD),
            new Backward("vision", 0, 0, false),
            new Release(0),
            new ReduceGradients("vision"),
            new ReduceGradients("language"),
            new Step());
    Schedule several =
        Schedule.of(
            captioner(Mesh.single(0), Mesh.single(0)), ScheduleKind.ONE_FORWARD_ONE_BACKWARD, 3);
    assertThat(ScheduleTimeline.of(several).peakLive(0, "language")).isEqualTo(1);
  }

  @Test
  void disjointMeshes_eachRankHasOnlyItsOwnComponent() {
    Schedule schedule =
        Schedule.of(captioner(dp(0, 2), dp(2, 1)), ScheduleKind.ONE_FORWARD_ONE_BACKWARD, 2);

    assertThat(schedule.ranks().get(2))
        .contains(
            new Forward("language", 0, 1),
            new Receive(BOUNDARY, 1, Direction.FORWARD),
            new Send(BOUNDARY, 1, Direction.BACKWARD))
        .doesNotContain(new Forward("vision", 0, 0), new ReduceGradients("vision"));
    assertThat(schedule.ranks().get(0)).doesNotContain(new Forward("language", 0, 0));
  }

  @Test
  void frozenSource_noGradientCrossesBackAndItRunsOnlySoFarAhead() {
    PipelineGraph graph =
        new PipelineGraph(
            List.of(Stages.uniform("vision", Mesh.single(0)), Stages.uniform("language", pp(1, 2))),
            List.of(new Edge(BOUNDARY, "vision", "language", false)));
    Schedule schedule = Schedule.of(graph, ScheduleKind.ONE_FORWARD_ONE_BACKWARD, 8);

    assertThat(schedule.ranks().get(0))
        .doesNotContain(
            new Receive(BOUNDARY, 0, Direction.BACKWARD), new Backward("vision", 0, 0, false))
        .doesNotContain(new ReduceGradients("vision"));
  }

  @Test
  void oneForwardOneBackward_isThePublishedOrder() {
    Schedule schedule =
        Schedule.of(
            alone(Stages.uniform("language", pp(0, 4))), ScheduleKind.ONE_FORWARD_ONE_BACKWARD, 6);

    assertThat(brief(schedule, 0)).isEqualTo("F0 F1 F2 F3 B0 F4 B1 F5 B2 B3 B4 B5");
    assertThat(brief(schedule, 2)).isEqualTo("F0 F1 B0 F2 B1 F3 B2 F4 B3 F5 B4 B5");
    assertThat(brief(schedule, 3)).isEqualTo("F0 B0 F1 B1 F2 B2 F3 B3 F4 B4 F5 B5");
    ScheduleTimeline timeline = ScheduleTimeline.of(schedule);
    // (p - 1) / (m + p - 1) of the time.
    assertThat(timeline.bubbleShare()).isCloseTo(3.0 / 9, within(1e-12));
    for (int rank = 0; rank < 4; rank++) {
      assertThat(timeline.peakLive(rank, "language")).isEqualTo(4 - rank);
    }
  }

  @Test
  void gpipe_goesAllForwardThenAllBack() {
    Schedule schedule =
        Schedule.of(alone(Stages.uniform("language", pp(0, 2))), ScheduleKind.GPIPE, 3);

    assertThat(brief(schedule, 0)).isEqualTo("F0 F1 F2 B0 B1 B2");
    assertThat(brief(schedule, 1)).isEqualTo("F0 F1 F2 B0 B1 B2");
    assertThat(ScheduleTimeline.of(schedule).peakLive(0, "language")).isEqualTo(3);
  }

  @ParameterizedTest
  @CsvSource({"2,2,4", "2,2,8", "4,2,8", "4,3,16", "2,4,6", "3,2,9"})
  void interleaved_hasTheSmallerBubble(int ranks, int chunks, int microBatches) {
    Schedule interleaved =
        Schedule.of(
            alone(stages("language", pp(0, ranks), ranks * chunks)),
            ScheduleKind.INTERLEAVED,
            microBatches);
    // The same work in stages of chunks times the cost.
    Cost whole = new Cost(100L * chunks, 100L * chunks, 100L * chunks);
    Schedule plain =
        Schedule.of(
            alone(new Stages("language", pp(0, ranks), Collections.nCopies(ranks, whole))),
            ScheduleKind.ONE_FORWARD_ONE_BACKWARD,
            microBatches);

    ScheduleTimeline timeline = ScheduleTimeline.of(interleaved);
    assertThat(timeline.end()).isLessThan(ScheduleTimeline.of(plain).end());
    // Narayanan et al., 2021: the bubble is smaller by the number of stages a rank.
    double ideal = 300.0 * chunks * microBatches;
    assertThat(timeline.end() - ideal).isEqualTo(300.0 * (ranks - 1));
  }

  @Test
  void zeroBubble_fillsWithWeightGradientsAndHoldsNoMoreThanOneForwardOneBackward() {
    Schedule schedule =
        Schedule.of(alone(Stages.uniform("language", pp(0, 4))), ScheduleKind.ZERO_BUBBLE, 8);
    Schedule plain =
        Schedule.of(
            alone(Stages.uniform("language", pp(0, 4))), ScheduleKind.ONE_FORWARD_ONE_BACKWARD, 8);

    assertThat(schedule.ranks().get(1)).contains(new WeightGradients("language", 1, 7));
    ScheduleTimeline timeline = ScheduleTimeline.of(schedule);
    assertThat(timeline.bubbleShare())
        .isLessThanOrEqualTo(ScheduleTimeline.of(plain).bubbleShare() * 0.67);
    for (int rank = 0; rank < 4; rank++) {
      assertThat(timeline.peakLive(rank, "language")).isLessThanOrEqualTo(4);
    }
  }

  @Test
  void branchesOfUnequalDepth_warmUpByTheirDistanceToTheLoss() {
    PipelineGraph graph =
        new PipelineGraph(
            List.of(
                Stages.uniform("vision", pp(0, 3)),
                Stages.uniform("audio", Mesh.single(3)),
                Stages.uniform("language", pp(4, 2))),
            List.of(
                new Edge(BOUNDARY, "vision", "language", true),
                new Edge("audio -> language", "audio", "language", true)));
    Schedule schedule = Schedule.of(graph, ScheduleKind.ONE_FORWARD_ONE_BACKWARD, 8);
    ScheduleTimeline timeline = ScheduleTimeline.of(schedule);

    assertThat(graph.depth()).isEqualTo(5);
    assertThat(timeline.peakLive(0, "vision")).isEqualTo(5);
    assertThat(timeline.peakLive(2, "vision")).isEqualTo(3);
    assertThat(timeline.peakLive(3, "audio")).isEqualTo(3);
    assertThat(timeline.peakLive(5, "language")).isEqualTo(1);
  }

  @ParameterizedTest
  @EnumSource(ScheduleKind.class)
  void encoderOnThePipelinesRanks_isBoundedByDepthAndNoSlowerThanAllOfItFirst(ScheduleKind kind) {
    Random random = new Random(11);
    for (int trial = 0; trial < 200; trial++) {
      int ranks = 2 + random.nextInt(3);
      int chunks = kind == ScheduleKind.INTERLEAVED ? 2 : 1;
      int microBatches = ranks * (1 + random.nextInt(5));
      Cost vision = cost(random);
      // Odd trials: stages of unequal costs.
      Cost same = cost(random);
      List<Cost> language = new ArrayList<>();
      for (int stage = 0; stage < ranks * chunks; stage++) {
        language.add(trial % 2 == 0 ? same : cost(random));
      }
      PipelineGraph graph =
          captioner(
              new Stages("vision", dp(0, ranks), List.of(vision)),
              new Stages("language", pp(0, ranks), language));
      String name = "trial " + trial + ": pp " + ranks + ", m " + microBatches + ", " + vision;
      ScheduleTimeline timeline = ScheduleTimeline.of(Schedule.of(graph, kind, microBatches));
      ScheduleTimeline simple =
          ScheduleTimeline.of(Schedule.encodersFirst(graph, kind, microBatches));

      assertThat(timeline.end()).as(name + language).isLessThanOrEqualTo(simple.end());
      if (kind != ScheduleKind.GPIPE) {
        for (int rank = 0; rank < ranks; rank++) {
          assertThat(timeline.peakLive(rank, "vision"))
              .as(name)
              .isLessThanOrEqualTo(2 * graph.depth());
        }
      }
      assertThat(simple.peakLive(0, "vision")).as(name).isEqualTo(microBatches);
    }
  }

  private static Cost cost(Random random) {
    long forward = 10 + random.nextInt(200);
    return new Cost(forward, forward, forward);
  }

  @Test
  void randomGraphs_endAndDoEverythingOnce() {
    long seed = 5;
    Random random = new Random(seed);
    for (int trial = 0; trial < 300; trial++) {
      ScheduleKind kind = ScheduleKind.values()[random.nextInt(4)];
      int world = 1 + random.nextInt(6);
      List<Stages> components = new ArrayList<>();
      List<Edge> edges = new ArrayList<>();
      int count = 1 + random.nextInt(3);
      for (int i = 0; i < count; i++) {
        Mesh mesh = randomMesh(random, world);
        int chunks = kind == ScheduleKind.INTERLEAVED ? 1 + random.nextInt(3) : 1;
        List<Cost> costs = new ArrayList<>();
        for (int s = 0; s < chunks * mesh.size(Axis.PP); s++) {
          costs.add(cost(random));
        }
        components.add(new Stages("c" + i, mesh, costs));
        if (i > 0) {
          edges.add(new Edge("e" + i, "c" + (i - 1), "c" + i, true));
        }
        if (i == 2 && random.nextBoolean()) {
          edges.add(new Edge("skip", "c0", "c2", random.nextBoolean()));
        }
      }
      int microBatches = 1 + random.nextInt(7);
      String name = "seed " + seed + " trial " + trial + " " + kind + " " + components;
      Schedule schedule = Schedule.of(new PipelineGraph(components, edges), kind, microBatches);
      for (Stages stages : components) {
        for (int stage = 0; stage < stages.count(); stage++) {
          for (int rank : stages.ranksOf(stage).ranks()) {
            for (int m = 0; m < microBatches; m++) {
              assertThat(schedule.ranks().get(rank))
                  .as(name)
                  .contains(
                      new Forward(stages.name(), stage, m),
                      new Backward(stages.name(), stage, m, kind == ScheduleKind.ZERO_BUBBLE));
            }
          }
        }
      }
      assertThat(ScheduleTimeline.of(schedule).end()).as(name).isPositive();
    }
  }

  private static Mesh randomMesh(Random random, int world) {
    int first = random.nextInt(world);
    int size = 1 + random.nextInt(world - first);
    Mesh.Builder mesh = Mesh.onRanks(first, size);
    for (Axis axis : List.of(Axis.TP, Axis.PP)) {
      for (int divisor : new int[] {3, 2}) {
        if (size % divisor == 0 && random.nextBoolean()) {
          mesh.axis(axis, divisor);
          size /= divisor;
          break;
        }
      }
    }
    if (size > 1) {
      mesh.axis(Axis.DP, size);
    }
    return mesh.build();
  }

  @Test
  void unknownComponentInABoundary_isRefusedByName() {
    assertThatThrownBy(
            () ->
                new PipelineGraph(
                    List.of(Stages.uniform("vision", dp(0, 1))),
                    List.of(new Edge(BOUNDARY, "vision", "language", true))))
        .hasMessageContaining("names component language, which is not among [vision]");
  }
}
