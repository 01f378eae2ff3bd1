package dev.heddle.parallel.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.Instruction.Exchange;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.ReduceGradients;
import dev.heddle.parallel.pipeline.Instruction.Step;
import dev.heddle.parallel.pipeline.Schedule.Edge;
import dev.heddle.parallel.pipeline.Schedule.Stage;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ScheduleTest {
  private static final String BOUNDARY = "vision -> language";

  private static Mesh mesh(int first, int count) {
    return Mesh.onRanks(first, count).axis(Axis.DP, count).build();
  }

  private static Schedule schedule(Mesh vision, Mesh language, int microBatches) {
    return Schedule.oneMicroBatchAtATime(
        List.of(new Stage("vision", vision), new Stage("language", language)),
        List.of(new Edge(BOUNDARY, "vision", "language", true)),
        microBatches);
  }

  @Test
  void oneRank_runsForwardExchangeBackwardInOrder() {
    Schedule schedule = schedule(mesh(0, 1), mesh(0, 1), 1);

    assertThat(schedule.ranks().get(0))
        .containsExactly(
            new Forward("vision", 0),
            new Exchange(BOUNDARY, 0, Direction.FORWARD),
            new Forward("language", 0),
            new Backward("language", 0),
            new Exchange(BOUNDARY, 0, Direction.BACKWARD),
            new Backward("vision", 0),
            new ReduceGradients("vision"),
            new ReduceGradients("language"),
            new Step());
  }

  @Test
  void disjointMeshes_eachRankRunsOnlyItsOwnComponentAndTheSharedExchanges() {
    Schedule schedule = schedule(mesh(0, 2), mesh(2, 1), 2);

    assertThat(schedule.ranks().get(2))
        .contains(new Forward("language", 1), new Exchange(BOUNDARY, 1, Direction.BACKWARD))
        .doesNotContain(new Forward("vision", 0), new ReduceGradients("vision"));
    assertThat(schedule.ranks().get(0)).doesNotContain(new Forward("language", 0));
    assertThat(schedule.meeting().get(BOUNDARY)).containsExactly(0, 1, 2);
  }

  @Test
  void frozenSource_noGradientCrossesBack() {
    Schedule schedule =
        Schedule.oneMicroBatchAtATime(
            List.of(new Stage("vision", mesh(0, 1)), new Stage("language", mesh(0, 1))),
            List.of(new Edge(BOUNDARY, "vision", "language", false)),
            1);

    assertThat(schedule.ranks().get(0))
        .doesNotContain(new Exchange(BOUNDARY, 0, Direction.BACKWARD));
  }

  @Test
  void ranksThatWaitForEachOther_areRefusedWithTheirInstructions() {
    Exchange first = new Exchange("a", 0, Direction.FORWARD);
    Exchange second = new Exchange("b", 0, Direction.FORWARD);
    Schedule crossed =
        new Schedule(
            Map.of(0, List.of(first, second), 1, List.of(second, first)),
            Map.of("a", List.of(0, 1), "b", List.of(0, 1)));

    assertThatThrownBy(() -> ScheduleCheck.check(crossed, Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("rank 0 at exchange(a, 0) waits for ranks [1]")
        .hasMessageContaining("rank 1 at exchange(b, 0) waits for ranks [0]");
  }

  @Test
  void backwardWithoutForward_isRefused() {
    Schedule backwardOnly = new Schedule(Map.of(0, List.of(new Backward("vision", 0))), Map.of());

    assertThatThrownBy(() -> ScheduleCheck.check(backwardOnly, Map.of("vision", Mesh.single(0))))
        .hasMessage("schedule: rank 0: backward(vision, 0) comes before its forward");
  }

  @Test
  void instructionOfAForeignComponent_isRefused() {
    Schedule foreign = new Schedule(Map.of(0, List.of(new Forward("vision", 0))), Map.of());

    assertThatThrownBy(() -> ScheduleCheck.check(foreign, Map.of("vision", Mesh.single(1))))
        .hasMessage("schedule: rank 0: forward(vision, 0) does not concern this rank");
  }

  @Test
  void unknownComponentInABoundary_isRefusedByName() {
    assertThatThrownBy(
            () ->
                Schedule.oneMicroBatchAtATime(
                    List.of(new Stage("vision", mesh(0, 1))),
                    List.of(new Edge(BOUNDARY, "vision", "language", true)),
                    1))
        .hasMessageContaining("names component language, which is not among [vision]");
  }
}
