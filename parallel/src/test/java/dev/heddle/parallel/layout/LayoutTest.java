package dev.heddle.parallel.layout;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class LayoutTest {
  private final Mesh mesh =
      Mesh.onRanks(0, 12).axis(Axis.TP, 2).axis(Axis.CP, 3).axis(Axis.DP, 2).build();

  @Test
  void dual_ofEveryType_isTheGradientTypeAndItsOwnInverse() {
    assertThat(AxisType.replicate().dual()).isEqualTo(AxisType.partial());
    assertThat(AxisType.partial().dual()).isEqualTo(AxisType.replicate());
    assertThat(AxisType.invariant().dual()).isEqualTo(AxisType.invariant());
    assertThat(AxisType.varying().dual()).isEqualTo(AxisType.varying());
    assertThat(AxisType.shard(1).dual()).isEqualTo(AxisType.shard(1));
  }

  @Test
  void gradient_ofLayout_replacesEachTypeAndKeepsTheCuts() {
    Layout layout = Layout.on(mesh).shard(Axis.DP, 0).zigzag(Axis.CP, 1).replicate(Axis.TP).build();
    Layout gradient = layout.gradient();
    assertThat(gradient.type(Axis.TP)).isEqualTo(AxisType.partial());
    assertThat(gradient.type(Axis.CP)).isEqualTo(AxisType.shard(1));
    assertThat(gradient.zigzagAxes()).containsExactly(Axis.CP);
    assertThat(gradient.gradient()).isEqualTo(layout);
    assertThat(gradient)
        .hasToString("tp=2 cp=3 dp=2 on ranks 0-11: tp Partial, cp Shard(1) zigzag, dp Shard(0)");
  }

  @Test
  void owned_twoAxesOnOneDim_cutInTheOrderNamed() {
    Layout contextThenTensor =
        Layout.on(mesh).invariant(Axis.DP).shard(Axis.CP, 0).shard(Axis.TP, 0).build();
    Layout tensorThenContext =
        Layout.on(mesh).invariant(Axis.DP).shard(Axis.TP, 0).shard(Axis.CP, 0).build();
    int rank = mesh.rank(Map.of(Axis.TP, 1, Axis.CP, 0));
    assertThat(contextThenTensor.owned(rank, 0, 12)).hasToString("[2,4)");
    assertThat(contextThenTensor.partIndex(rank, 0)).isEqualTo(1);
    assertThat(tensorThenContext.owned(rank, 0, 12)).hasToString("[6,8)");
    assertThat(tensorThenContext.partIndex(rank, 0)).isEqualTo(3);
    assertThat(tensorThenContext.partCount(0)).isEqualTo(6);
    assertThat(tensorThenContext.owned(rank, 1, 5)).hasToString("[0,5)");
  }

  @Test
  void owned_zigzagThenContiguous_cutsTheRanksOwnItems() {
    Layout layout = Layout.on(mesh).invariant(Axis.DP).zigzag(Axis.CP, 1).shard(Axis.TP, 1).build();
    int rank = mesh.rank(Map.of(Axis.TP, 1, Axis.CP, 0));
    assertThat(layout.owned(mesh.rank(Map.of()), 1, 12)).hasToString("[0,2)");
    assertThat(layout.owned(rank, 1, 12)).hasToString("[10,12)");
  }

  @Test
  void build_axisLongerThanOneWithoutType_isRefusedBecauseNoDefaultIsRight() {
    assertThatThrownBy(() -> Layout.on(mesh).shard(Axis.DP, 0).shard(Axis.CP, 1).build())
        .hasMessageContaining("axis tp of tp=2 cp=3 dp=2 on ranks 0-11 has no type");
  }

  @Test
  void build_typeForAxisNotInMesh_isIgnored() {
    Mesh single = Mesh.single(3);
    Layout layout = Layout.on(single).shard(Axis.DP, 0).partial(Axis.TP).build();
    assertThat(layout).isEqualTo(Layout.on(single).build()).hasToString("on rank 3");
    assertThat(layout.owned(3, 0, 4).size()).isEqualTo(4);
  }

  @Test
  void build_contradictions_areRefused() {
    assertThatThrownBy(() -> Layout.on(mesh).shard(Axis.DP, 0).invariant(Axis.DP))
        .hasMessageContaining("axis dp was given a type twice");
    assertThatThrownBy(() -> AxisType.shard(-1)).hasMessageContaining("Shard(-1)");
    Mesh two = Mesh.onRanks(0, 2).axis(Axis.TP, 2).build();
    assertThatThrownBy(
            () -> new Layout(two, Map.of(Axis.TP, AxisType.shard(0)), List.of(), Set.of()))
        .hasMessageContaining("got split order [], wanted each sharding axis once: [TP]");
    assertThatThrownBy(
            () -> new Layout(two, Map.of(Axis.TP, AxisType.partial()), List.of(), Set.of(Axis.TP)))
        .hasMessageContaining("got zigzag along [TP]");
  }
}
