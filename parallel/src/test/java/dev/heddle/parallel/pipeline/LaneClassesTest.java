package dev.heddle.parallel.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import dev.heddle.parallel.pipeline.PipelineGraph.Edge;
import dev.heddle.parallel.pipeline.PipelineGraph.Stages;
import dev.heddle.parallel.pipeline.SchedulePolicy.Encoders;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class LaneClassesTest {
  private static Mesh mesh(int first, int tp, int pp, int dp) {
    return Mesh.onRanks(first, tp * pp * dp)
        .axis(Axis.TP, tp)
        .axis(Axis.PP, pp)
        .axis(Axis.DP, dp)
        .build();
  }

  private static PipelineGraph graph(Mesh vision, Mesh language) {
    return new PipelineGraph(
        List.of(Stages.uniform("vision", vision), Stages.uniform("language", language)),
        List.of(new Edge("vision -> language", "vision", "language", true)));
  }

  private static int lists(Schedule schedule) {
    Set<List<Instruction>> lists = Collections.newSetFromMap(new IdentityHashMap<>());
    lists.addAll(schedule.ranks().values());
    return lists.size();
  }

  @Test
  void lanes_thatStandAlike_shareTheirLists() {
    Schedule one = Schedule.of(graph(mesh(0, 1, 1, 4), mesh(0, 1, 4, 1)), kind(), 4);
    Schedule sixteen = Schedule.of(graph(mesh(0, 1, 1, 64), mesh(0, 1, 4, 16)), kind(), 4);
    assertThat(sixteen.ranks()).hasSize(64);
    assertThat(lists(sixteen)).isEqualTo(lists(one));
    for (int rank = 0; rank < 64; rank++) {
      assertThat(sixteen.ranks().get(rank)).isEqualTo(one.ranks().get(rank % 4));
    }
    assertThat(ScheduleTimeline.of(sixteen).end()).isEqualTo(ScheduleTimeline.of(one).end());
  }

  @Test
  void lanes_thatShareOtherRanks_haveListsOfTheirOwn() {
    // Vision on the first of three language lanes only: the other two are alike.
    LaneClasses classes = new LaneClasses(graph(mesh(0, 2, 1, 1), mesh(0, 2, 1, 3)));
    assertThat(classes.representatives().component("language").mesh().ranks())
        .containsExactly(0, 1, 2, 3);
    // Vision crosses the border between two language lanes: no two of the four clusters' lanes are.
    LaneClasses crossed = new LaneClasses(graph(mesh(1, 2, 1, 1), mesh(0, 2, 1, 2)));
    assertThat(crossed.representatives().component("language").mesh().ranks())
        .containsExactly(0, 1, 2, 3);
  }

  @Test
  void representatives_takeAsLongAsAllRanks() {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int trial = 0; trial < 60; trial++) {
      PipelineGraph graph = random(random);
      int microBatches = 1 + random.nextInt(5);
      for (ScheduleKind kind : ScheduleKind.values()) {
        for (Encoders encoders : Encoders.values()) {
          SchedulePolicy policy =
              new SchedulePolicy(kind, encoders, random.nextInt(3), graph.depth());
          assertThat(
                  ListScheduler.order(
                          new LaneClasses(graph).representatives(), policy, microBatches)
                      .end())
              .as("seed %d, trial %d, %s", seed, trial, policy)
              .isEqualTo(ListScheduler.order(graph, policy, microBatches).end());
        }
      }
      // Checked as a whole, whichever ranks were scheduled; and run rank by rank.
      Schedule schedule = Schedule.of(graph, kind(), microBatches);
      assertThat(new HashSet<>(schedule.ranks().keySet()))
          .as("seed %d, trial %d", seed, trial)
          .isEqualTo(new HashSet<>(graph.ranks()));
      assertThat(ScheduleTimeline.of(schedule).end()).isPositive();
    }
  }

  private static PipelineGraph random(Random random) {
    List<Stages> components = new ArrayList<>();
    List<Edge> edges = new ArrayList<>();
    int encoders = 1 + random.nextInt(2);
    for (int i = 0; i <= encoders; i++) {
      Mesh mesh =
          mesh(
              2 * random.nextInt(3),
              1 + random.nextInt(2),
              1 + random.nextInt(3),
              1 + random.nextInt(4));
      List<Cost> costs = new ArrayList<>();
      for (int stage = 0; stage < mesh.size(Axis.PP); stage++) {
        costs.add(new Cost(1 + random.nextInt(90), 1 + random.nextInt(90), 1 + random.nextInt(90)));
      }
      components.add(new Stages("c" + i, mesh, costs));
      if (i < encoders) {
        edges.add(new Edge("e" + i, "c" + i, "c" + encoders, random.nextBoolean()));
      }
    }
    return new PipelineGraph(components, edges);
  }

  private static ScheduleKind kind() {
    return ScheduleKind.ONE_FORWARD_ONE_BACKWARD;
  }
}
