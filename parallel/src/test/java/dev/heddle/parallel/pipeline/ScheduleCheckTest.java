package dev.heddle.parallel.pipeline;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.Receive;
import dev.heddle.parallel.pipeline.Instruction.Release;
import dev.heddle.parallel.pipeline.Instruction.Send;
import dev.heddle.parallel.pipeline.Instruction.Step;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Edge;
import dev.heddle.parallel.pipeline.PipelineGraph.Stages;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ScheduleCheckTest {
  private static final PipelineGraph TWO_STAGES =
      new PipelineGraph(
          List.of(Stages.uniform("model", Mesh.onRanks(0, 2).axis(Axis.PP, 2).build())), List.of());

  private static final String LINK = "model 0 -> 1";

  private static void check(PipelineGraph graph, Map<Integer, List<Instruction>> lists) {
    ScheduleCheck.check(new Schedule(graph, lists));
  }

  private static Send send(int microBatch) {
    return new Send(LINK, microBatch, Direction.FORWARD);
  }

  private static Receive receive(int microBatch) {
    return new Receive(LINK, microBatch, Direction.FORWARD);
  }

  @Test
  void ranksThatWaitForEachOther_areRefusedWithTheirInstructions() {
    PipelineGraph two =
        new PipelineGraph(
            List.of(
                Stages.uniform("a", Mesh.single(0)),
                Stages.uniform("b", Mesh.single(1)),
                Stages.uniform("c", Mesh.onRanks(0, 2).axis(Axis.TP, 2).build())),
            List.of(new Edge("a -> c", "a", "c", true), new Edge("b -> c", "b", "c", true)));

    assertThatThrownBy(
            () ->
                check(
                    two,
                    Map.of(
                        0,
                        List.of(
                            new Receive("b -> c", 0, Direction.FORWARD),
                            new Send("a -> c", 0, Direction.FORWARD)),
                        1,
                        List.of(
                            new Receive("a -> c", 0, Direction.FORWARD),
                            new Send("b -> c", 0, Direction.FORWARD)))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("it would never end")
        .hasMessageContaining("rank 0 at receive(b -> c, 0) waits for ranks [1]")
        .hasMessageContaining("rank 1 at receive(a -> c, 0) waits for ranks [0]");
  }

  @Test
  void tensorParallelRanksInDifferentOrders_areRefused() {
    PipelineGraph together =
        new PipelineGraph(
            List.of(Stages.uniform("model", Mesh.onRanks(0, 2).axis(Axis.TP, 2).build())),
            List.of());
    Forward first = new Forward("model", 0, 0);
    Forward second = new Forward("model", 0, 1);

    assertThatThrownBy(
            () -> check(together, Map.of(0, List.of(first, second), 1, List.of(second, first))))
        .hasMessageContaining("rank 0 at forward(model:0, 0) waits for ranks [1]");
  }

  @Test
  void messageThatIsNeverSent_isRefused() {
    assertThatThrownBy(() -> check(TWO_STAGES, Map.of(0, List.of(), 1, List.of(receive(0)))))
        .hasMessage("schedule: rank 1: receive(model 0 -> 1, 0) waits for what rank 0 never sends");
  }

  @Test
  void messageThatIsNeverReceived_isRefused() {
    assertThatThrownBy(() -> check(TWO_STAGES, Map.of(0, List.of(send(0)), 1, List.of())))
        .hasMessage("schedule: rank 0: send(model 0 -> 1, 0) is received by no rank");
  }

  @Test
  void messagesOutOfOrderOnALink_areRefused() {
    assertThatThrownBy(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(0, List.of(send(0), send(1)), 1, List.of(receive(1), receive(0)))))
        .hasMessageContaining("rank 1: receive(model 0 -> 1, 0) comes after that of microbatch 1");
  }

  @Test
  void releaseThatWaitsForWhomItKeepsWaiting_isRefused() {
    assertThatThrownBy(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(
                        0,
                        List.of(send(0), new Release(0), send(1)),
                        1,
                        List.of(receive(1), receive(0)))))
        .hasMessageContaining("order");
    Send gradient = new Send(LINK, 0, Direction.BACKWARD);
    Receive gradientOf0 = new Receive(LINK, 0, Direction.BACKWARD);
    assertThatThrownBy(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(
                        0,
                        List.of(send(1), new Release(1), gradientOf0),
                        1,
                        List.of(gradient, new Release(0), receive(1)))))
        .hasMessageContaining("it would never end")
        .hasMessageContaining("rank 0 at release(1) waits for ranks [1]")
        .hasMessageContaining("rank 1 at release(0) waits for ranks [0]");
  }

  @Test
  void releaseWhereItsMessagesHaveBeenTaken_passes() {
    assertThatCode(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(
                        0,
                        List.of(send(0), new Release(0), send(1), new Release(1), new Step()),
                        1,
                        List.of(
                            receive(0), receive(1), new Release(0), new Release(1), new Step()))))
        .doesNotThrowAnyException();
  }

  @Test
  void microBatchThatIsNotReleased_isRefused() {
    assertThatThrownBy(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(0, List.of(send(0), new Step()), 1, List.of(receive(0), new Step()))))
        .hasMessageContaining("step comes before microbatches [0] are released");
  }

  @Test
  void workOnAReleasedMicroBatch_isRefused() {
    assertThatThrownBy(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(
                        0,
                        List.of(send(0), new Release(0), new Receive(LINK, 0, Direction.BACKWARD)),
                        1,
                        List.of(receive(0), new Send(LINK, 0, Direction.BACKWARD)))))
        .hasMessage(
            "schedule: rank 0: receive-gradient(model 0 -> 1, 0) comes after its microbatch was"
                + " released");
    assertThatThrownBy(() -> check(TWO_STAGES, Map.of(0, List.of(new Release(0)), 1, List.of())))
        .hasMessage("schedule: rank 0: release(0) releases what this rank has nothing of");
  }

  @Test
  void backwardWithoutForward_isRefused() {
    assertThatThrownBy(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(0, List.of(new Backward("model", 0, 0, false)), 1, List.of())))
        .hasMessage("schedule: rank 0: backward(model:0, 0) comes before its forward");
    assertThatThrownBy(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(
                        0,
                        List.of(new Forward("model", 0, 0), new WeightGradients("model", 0, 0)),
                        1,
                        List.of())))
        .hasMessage(
            "schedule: rank 0: backward-weights(model:0, 0) comes before its backward-inputs");
  }

  @Test
  void instructionOfAForeignStage_isRefused() {
    assertThatThrownBy(
            () -> check(TWO_STAGES, Map.of(0, List.of(new Forward("model", 1, 0)), 1, List.of())))
        .hasMessage("schedule: rank 0: forward(model:1, 0) does not concern this rank");
  }

  @Test
  void whatIsRight_passes() {
    assertThatCode(
            () ->
                check(
                    TWO_STAGES,
                    Map.of(
                        0,
                        List.of(new Forward("model", 0, 0), send(0)),
                        1,
                        List.of(receive(0), new Forward("model", 1, 0)))))
        .doesNotThrowAnyException();
  }
}
