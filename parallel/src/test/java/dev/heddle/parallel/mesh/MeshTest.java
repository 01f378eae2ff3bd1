package dev.heddle.parallel.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class MeshTest {
  private final Mesh mesh =
      Mesh.onRanks(4, 12).axis(Axis.TP, 2).axis(Axis.CP, 3).axis(Axis.DP, 2).build();

  @Test
  void groups_firstDeclaredAxis_variesFastest() {
    Mesh small = Mesh.onRanks(0, 4).axis(Axis.TP, 2).axis(Axis.DP, 2).build();
    assertThat(small.groups(Axis.TP)).containsExactly(List.of(0, 1), List.of(2, 3));
    assertThat(small.groups(Axis.DP)).containsExactly(List.of(0, 2), List.of(1, 3));
    Mesh dataFirst = Mesh.onRanks(0, 4).axis(Axis.DP, 2).axis(Axis.TP, 2).build();
    assertThat(dataFirst.groups(Axis.TP)).containsExactly(List.of(0, 2), List.of(1, 3));
  }

  @Test
  void coordinates_ofEveryRank_leadBackToTheRank() {
    for (int rank : mesh.ranks()) {
      assertThat(mesh.rank(mesh.coordinates(rank))).isEqualTo(rank);
    }
    assertThat(mesh.coordinates(4 + 1 + 2 * 2 + 6))
        .isEqualTo(Map.of(Axis.TP, 1, Axis.CP, 2, Axis.DP, 1));
  }

  @Test
  void group_alongSeveralAxes_isInMeshOrderWhateverTheOrderAsked() {
    assertThat(mesh.group(15, Axis.DP, Axis.TP)).containsExactly(8, 9, 14, 15);
    assertThat(mesh.group(15, Axis.TP, Axis.DP)).containsExactly(8, 9, 14, 15);
    assertThat(mesh.indexInGroup(15, Axis.TP, Axis.DP)).isEqualTo(3);
    assertThat(mesh.indexInGroup(14, Axis.TP, Axis.DP)).isEqualTo(2);
  }

  @Test
  void groups_alongAnyAxes_divideTheMeshAndAgreeWithGroup() {
    Axis[][] choices = {{}, {Axis.CP}, {Axis.TP, Axis.DP}, {Axis.TP, Axis.CP, Axis.DP}, {Axis.PP}};
    for (Axis[] along : choices) {
      List<List<Integer>> groups = mesh.groups(along);
      assertThat(groups.stream().flatMap(List::stream).toList())
          .containsExactlyInAnyOrderElementsOf(mesh.ranks());
      for (List<Integer> group : groups) {
        for (int index = 0; index < group.size(); index++) {
          assertThat(mesh.group(group.get(index), along)).isEqualTo(group);
          assertThat(mesh.indexInGroup(group.get(index), along)).isEqualTo(index);
        }
      }
    }
  }

  @Test
  void size_axisNotDeclared_isOne() {
    assertThat(mesh.size(Axis.PP)).isEqualTo(1);
    assertThat(mesh.coordinate(9, Axis.PP)).isZero();
    assertThat(mesh.group(9, Axis.PP)).containsExactly(9);
  }

  @Test
  void onRanks_anyOrderOfRanks_isKept() {
    Mesh scattered = Mesh.onRanks(List.of(7, 2, 9, 4)).axis(Axis.TP, 2).axis(Axis.DP, 2).build();
    assertThat(scattered.groups(Axis.TP)).containsExactly(List.of(7, 2), List.of(9, 4));
    assertThat(scattered.contains(9)).isTrue();
    assertThat(scattered.contains(3)).isFalse();
    assertThat(scattered).hasToString("tp=2 dp=2 on ranks 7,2,9,4");
  }

  @Test
  void at_oneCoordinate_keepsTheOtherAxes() {
    Mesh last = mesh.at(Axis.CP, 2);
    assertThat(last.ranks()).containsExactly(8, 9, 14, 15);
    assertThat(last).hasToString("tp=2 dp=2 on ranks 8-9,14-15");
    assertThat(mesh.at(Axis.PP, 0)).isEqualTo(mesh);
  }

  @Test
  void overlap_ofMeshes_isTold() {
    Mesh other = Mesh.onRanks(10, 12).axis(Axis.DP, 12).build();
    Mesh apart = Mesh.onRanks(16, 2).axis(Axis.DP, 2).build();
    Mesh same = Mesh.onRanks(4, 12).axis(Axis.TP, 12).build();
    assertThat(mesh.isDisjointFrom(other)).isFalse();
    assertThat(mesh.hasSameRanksAs(other)).isFalse();
    assertThat(mesh.isDisjointFrom(apart)).isTrue();
    assertThat(mesh.hasSameRanksAs(same)).isTrue();
    assertThat(mesh).isNotEqualTo(same);
  }

  @Test
  void build_sizesDoNotMultiplyToRanks_namesBothAndTheFix() {
    assertThatThrownBy(() -> Mesh.onRanks(0, 6).axis(Axis.TP, 2).axis(Axis.DP, 2).build())
        .hasMessage(
            "mesh: got 6 ranks (ranks 0-5) for tp=2 x dp=2, which needs 4; change the ranks or an"
                + " axis size so that they agree");
  }

  @Test
  void build_badInput_isRefusedWithWhatToDo() {
    assertThatThrownBy(() -> Mesh.onRanks(0, 0)).hasMessageContaining("got 0 ranks");
    assertThatThrownBy(() -> Mesh.onRanks(List.of())).hasMessageContaining("got no ranks");
    assertThatThrownBy(() -> Mesh.onRanks(0, 2).axis(Axis.TP, 0))
        .hasMessageContaining("got size 0 for axis tp, wanted at least 1");
    assertThatThrownBy(() -> Mesh.onRanks(0, 4).axis(Axis.TP, 2).axis(Axis.TP, 2))
        .hasMessageContaining("axis tp was declared twice");
    assertThatThrownBy(() -> Mesh.onRanks(List.of(1, 1)).axis(Axis.DP, 2).build())
        .hasMessageContaining("rank 1 is listed twice");
    assertThatThrownBy(() -> Mesh.onRanks(-1, 1).build()).hasMessageContaining("got rank -1");
    assertThatThrownBy(() -> mesh.position(3))
        .hasMessageContaining("rank 3 is not in tp=2 cp=3 dp=2 on ranks 4-15");
    assertThatThrownBy(() -> mesh.rank(Map.of(Axis.CP, 3)))
        .hasMessageContaining("got coordinate 3 along cp, wanted 0 to 2");
  }
}
