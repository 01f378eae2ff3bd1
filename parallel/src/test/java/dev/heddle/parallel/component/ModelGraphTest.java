package dev.heddle.parallel.component;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ModelGraphTest {
  private static final Component VISION = component("vision", 0, 2);
  private static final Component LANGUAGE = component("language", 1, 2);

  private static Component component(String name, int first, int ranks) {
    return new Component(name, Mesh.onRanks(first, ranks).axis(Axis.DP, ranks).build());
  }

  private static BoundarySpec edge(String source, String destination) {
    return new BoundarySpec(source, destination, 8, true, ModelGraphTest::unplanned);
  }

  private static BoundaryPlan unplanned(Object counts) {
    throw new AssertionError("a graph is checked without planning");
  }

  @Test
  void graph_knowsItsComponentsAndItsSink() {
    ModelGraph graph =
        new ModelGraph(List.of(VISION, LANGUAGE), List.of(edge("vision", "language")));
    assertThat(graph.sink()).isEqualTo(LANGUAGE);
    assertThat(graph.component("vision")).isEqualTo(VISION);
    assertThat(graph.mesh("language")).isEqualTo(LANGUAGE.mesh());
    assertThat(graph.boundaries().getFirst().name()).isEqualTo("vision -> language");
  }

  @Test
  void schedule_runsEveryMicroBatchOfEveryComponent() {
    ModelGraph graph =
        new ModelGraph(List.of(VISION, LANGUAGE), List.of(edge("vision", "language")));
    assertThat(graph.schedule(3).ranks().get(1))
        .contains(
            new Instruction.Forward("vision", 0, 2),
            new Instruction.Backward("language", 0, 2, false),
            new Instruction.Receive("vision -> language", 2, Instruction.Direction.BACKWARD))
        .endsWith(new Instruction.Step());
    assertThat(graph.schedule(3).ranks().get(0))
        .doesNotContain(new Instruction.Forward("language", 0, 0));
  }

  @Test
  void frozenComponents_getGradientsOnlyForWhatIsTrainedBeforeThem() {
    Component audio = component("audio", 2, 2);
    Component fusion = component("fusion", 0, 2);
    ModelGraph graph =
        new ModelGraph(
            List.of(VISION, audio, fusion, LANGUAGE),
            List.of(edge("vision", "fusion"), edge("audio", "fusion"), edge("fusion", "language")));
    assertThat(gradients(graph)).containsExactly(true, true, true);
    assertThat(gradients(graph.withFrozen(Set.of("vision")))).containsExactly(false, true, true);
    // Fusion and language pass on to audio what they do not need themselves.
    ModelGraph audioOnly = graph.withFrozen(Set.of("vision", "fusion", "language"));
    assertThat(gradients(audioOnly)).containsExactly(false, true, true);
    assertThat(audioOnly.needsBackward("fusion")).isTrue();
    assertThat(audioOnly.needsBackward("vision")).isFalse();
    assertThat(gradients(graph.withFrozen(Set.of("vision", "audio", "fusion"))))
        .containsExactly(false, false, false);
    assertThat(gradients(graph.withFrozen(Set.of("vision", "audio"))))
        .containsExactly(false, false, true);
    assertThat(graph.withFrozen(Set.of("vision")).schedule(1).toString())
        .contains("send-gradient(audio -> fusion, 0)")
        .doesNotContain("send-gradient(vision -> fusion, 0)");
  }

  private static List<Boolean> gradients(ModelGraph graph) {
    return graph.boundaries().stream().map(BoundarySpec::gradients).toList();
  }

  @Test
  void frozenComponentThatIsNotThere_isRefused() {
    ModelGraph graph = new ModelGraph(List.of(VISION), List.of());
    assertThatThrownBy(() -> graph.withFrozen(Set.of("audio")))
        .hasMessage("model graph: frozen component audio is not one of [vision]");
  }

  @Test
  void noMicroBatch_isRefused() {
    ModelGraph graph =
        new ModelGraph(List.of(VISION, LANGUAGE), List.of(edge("vision", "language")));
    assertThatThrownBy(() -> graph.schedule(0))
        .hasMessage("schedule: got 0 microbatches, wanted at least 1");
  }

  @Test
  void noComponent_isRefused() {
    assertThatThrownBy(() -> new ModelGraph(List.of(), List.of()))
        .hasMessage("model graph: it has no component");
  }

  @Test
  void twoComponentsOfOneName_areRefused() {
    assertThatThrownBy(() -> new ModelGraph(List.of(VISION, VISION), List.of()))
        .hasMessage("model graph: two components are called vision");
  }

  @Test
  void boundaryToAnUnknownOrEarlierComponent_isRefused() {
    assertThatThrownBy(
            () -> new ModelGraph(List.of(VISION, LANGUAGE), List.of(edge("vision", "audio"))))
        .hasMessageContaining("boundary vision -> audio must go from a component to a later one");
    assertThatThrownBy(
            () -> new ModelGraph(List.of(VISION, LANGUAGE), List.of(edge("language", "vision"))))
        .hasMessageContaining("boundary language -> vision must go from a component to a later");
    assertThatThrownBy(
            () -> new ModelGraph(List.of(VISION, LANGUAGE), List.of(edge("vision", "vision"))))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void boundaryThatIsThereTwice_isRefused() {
    BoundarySpec edge = edge("vision", "language");
    assertThatThrownBy(() -> new ModelGraph(List.of(VISION, LANGUAGE), List.of(edge, edge)))
        .hasMessageContaining("boundary vision -> language is there twice");
  }

  @Test
  void unknownComponent_isRefusedByName() {
    ModelGraph graph = new ModelGraph(List.of(VISION), List.of());
    assertThatThrownBy(() -> graph.mesh("audio"))
        .hasMessage("model graph: there is no component audio");
  }
}
