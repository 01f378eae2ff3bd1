package dev.heddle.parallel.layout;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.util.List;
import org.junit.jupiter.api.Test;

class RowLayoutTest {
  private static final int FEATURES = 8;

  private static Mesh mesh(Axis axis, int size) {
    return Mesh.onRanks(0, size).axis(axis, size).build();
  }

  private static String runs(RowLayout layout, int rank) {
    return layout.holdings().of(rank).runs().toString();
  }

  @Test
  void dataParallel_samplesDoNotDivideAndOneIsEmpty_rowsFollowTheSamples() {
    RowCounts counts = RowCounts.perSample(3, 0, 2, 4, 1);
    Layout layout = Layout.on(mesh(Axis.DP, 3)).shard(Axis.DP, 0).build();
    RowLayout rows = RowLayout.of(layout, counts, FEATURES).build();
    assertThat(runs(rows, 0)).isEqualTo("[0,3)@0");
    assertThat(runs(rows, 1)).isEqualTo("[3,9)@0");
    assertThat(runs(rows, 2)).isEqualTo("[9,10)@0");
    assertThat(rows.holdings().of(1).lane()).isEqualTo(1);
    assertThat(rows.holdings().of(1).bufferRows()).isEqualTo(6);
  }

  @Test
  void tensorParallel_invariantAndFeatureSharded_holdCopiesOrColumns() {
    RowCounts counts = RowCounts.perSample(3, 2);
    Layout copies = Layout.on(mesh(Axis.TP, 3)).invariant(Axis.TP).build();
    Layout columns = Layout.on(mesh(Axis.TP, 3)).shard(Axis.TP, 2).build();
    for (int rank = 0; rank < 3; rank++) {
      assertThat(runs(RowLayout.of(copies, counts, FEATURES).build(), rank)).isEqualTo("[0,5)@0");
    }
    Holdings cut = RowLayout.of(columns, counts, FEATURES).build().holdings();
    assertThat(cut.of(0).features()).isEqualTo(new Interval(0, 3));
    assertThat(cut.of(1).features()).isEqualTo(new Interval(3, 6));
    assertThat(cut.of(2).features()).isEqualTo(new Interval(6, 8));
  }

  @Test
  void contextParallel_zigzagPerSample_eachSampleIsCutOnItsOwn() {
    RowCounts counts = RowCounts.perSample(8, 4);
    Layout layout = Layout.on(mesh(Axis.CP, 2)).zigzag(Axis.CP, 1).build();
    RowLayout rows = RowLayout.of(layout, counts, FEATURES).build();
    assertThat(runs(rows, 0)).isEqualTo("[0,2)@0 [6,9)@2 [11,12)@5");
    assertThat(runs(rows, 1)).isEqualTo("[2,6)@0 [9,11)@4");
  }

  @Test
  void contextParallel_packed_theLaneIsCutAsOneSequence() {
    RowCounts counts = RowCounts.perSample(5, 0, 3);
    Layout layout = Layout.on(mesh(Axis.CP, 2)).shard(Axis.CP, 1).build();
    RowLayout rows = RowLayout.of(layout, counts, FEATURES).packed().build();
    assertThat(runs(rows, 0)).isEqualTo("[0,4)@0");
    assertThat(runs(rows, 1)).isEqualTo("[4,8)@0");
  }

  @Test
  void fusedSequence_contextParallel_aRowBelongsToTheRankThatOwnsItsPosition() {
    RowCounts counts = RowCounts.perSample(4, 0, 2);
    RowPlacement placement =
        RowPlacement.inSequence(
            counts,
            new int[] {8, 4, 6},
            List.of(Intervals.of(1, 3, 5, 7), Intervals.EMPTY, Intervals.of(0, 2)));
    Layout layout = Layout.on(mesh(Axis.CP, 2)).zigzag(Axis.CP, 1).build();
    RowLayout packed = RowLayout.of(layout, placement, FEATURES).build();
    // Sample 0: rank 0 owns positions 0 1 6 7, rank 1 owns 2 to 5; rows 0 to 3 stand at 1 2 5 6.
    assertThat(runs(packed, 0)).isEqualTo("[0,1)@0 [3,6)@1");
    assertThat(runs(packed, 1)).isEqualTo("[1,3)@0");
    RowLayout inPlace = RowLayout.of(layout, placement, FEATURES).inSequence().build();
    // Rank 0 has places 0-3 for sample 0, 4-5 for sample 1, 6-8 for sample 2 (positions 0 1 5).
    assertThat(runs(inPlace, 0)).isEqualTo("[0,1)@1 [3,4)@2 [4,6)@6");
    assertThat(inPlace.holdings().of(0).bufferRows()).isEqualTo(9);
    assertThat(runs(inPlace, 1)).isEqualTo("[1,2)@0 [2,3)@3");
    assertThat(inPlace.holdings().of(1).bufferRows()).isEqualTo(9);
  }

  @Test
  void assign_unevenLanes_keepsTheGivenOrderOfSamples() {
    RowCounts counts = RowCounts.perSample(2, 3, 4);
    Layout layout = Layout.on(mesh(Axis.DP, 2)).shard(Axis.DP, 0).build();
    RowLayout rows =
        RowLayout.of(layout, counts, FEATURES)
            .assign(List.of(new int[] {2, 0}, new int[] {1}))
            .build();
    assertThat(runs(rows, 0)).isEqualTo("[0,2)@4 [5,9)@0");
    assertThat(runs(rows, 1)).isEqualTo("[2,5)@0");
  }

  @Test
  void divideItems_picturesOfOneSample_goToDifferentRanks() {
    RowCounts counts = RowCounts.perItem(new int[] {2, 3}, new int[] {}, new int[] {4});
    Layout layout = Layout.on(mesh(Axis.DP, 2)).shard(Axis.DP, 0).build();
    RowLayout rows = RowLayout.of(layout, counts, FEATURES).divideItems().build();
    assertThat(runs(rows, 0)).isEqualTo("[0,5)@0");
    assertThat(runs(rows, 1)).isEqualTo("[5,9)@0");
    assertThat(counts.describe(6)).isEqualTo("sample 2 item 0 position 1");
    assertThat(counts.row(0, 1, 2)).isEqualTo(4);
  }

  @Test
  void gradient_ofReplicate_numbersTheSummands() {
    RowCounts counts = RowCounts.perSample(2);
    Mesh mesh = Mesh.onRanks(0, 4).axis(Axis.TP, 2).axis(Axis.CP, 2).build();
    Layout layout = Layout.on(mesh).invariant(Axis.TP).replicate(Axis.CP).build();
    RowLayout rows = RowLayout.of(layout, counts, FEATURES).build();
    assertThat(rows.holdings().summandCount()).isEqualTo(1);
    Holdings gradient = rows.gradient().holdings();
    assertThat(gradient.summandCount()).isEqualTo(2);
    assertThat(gradient.all().stream().map(Holding::summand)).containsExactly(0, 0, 1, 1);
  }

  @Test
  void build_badInput_isRefusedWithWhatToDo() {
    RowCounts counts = RowCounts.perSample(2, 3);
    Layout data = Layout.on(mesh(Axis.DP, 2)).shard(Axis.DP, 0).build();
    assertThatThrownBy(
            () ->
                RowLayout.of(
                        Layout.on(mesh(Axis.TP, 2)).add(Axis.TP, AxisType.varying()).build(),
                        counts,
                        FEATURES)
                    .build())
        .hasMessageContaining("axis tp is Varying");
    assertThatThrownBy(
            () ->
                RowLayout.of(Layout.on(mesh(Axis.TP, 2)).shard(Axis.TP, 3).build(), counts, 8)
                    .build())
        .hasMessageContaining("axis tp shards dim 3");
    assertThatThrownBy(
            () ->
                RowLayout.of(Layout.on(mesh(Axis.TP, 2)).zigzag(Axis.TP, 2).build(), counts, 8)
                    .build())
        .hasMessageContaining("cut features contiguously");
    assertThatThrownBy(
            () ->
                RowLayout.of(data, counts, 8).assign(List.of(new int[] {0}, new int[] {0})).build())
        .hasMessageContaining("sample 0 is assigned twice");
    assertThatThrownBy(
            () -> RowLayout.of(data, counts, 8).assign(List.of(new int[] {0}, new int[0])).build())
        .hasMessageContaining("sample 1 is assigned to no lane");
    assertThatThrownBy(
            () -> RowLayout.of(data, counts, 8).assign(List.of(new int[] {0, 1})).build())
        .hasMessageContaining("assignment for 1 lanes, wanted 2");
    assertThatThrownBy(() -> RowCounts.perSample(1, -1)).hasMessageContaining("-1 rows");
    assertThatThrownBy(
            () -> RowPlacement.inSequence(counts, new int[] {2, 2}, new int[][] {{0, 1}, {0, 1}}))
        .hasMessageContaining("sample 1 has 3 rows but 2 positions");
    assertThatThrownBy(
            () ->
                RowPlacement.inSequence(counts, new int[] {2, 2}, new int[][] {{0, 1}, {0, 1, 2}}))
        .hasMessageContaining("wanted them inside its sequence of 2 positions");
  }
}
