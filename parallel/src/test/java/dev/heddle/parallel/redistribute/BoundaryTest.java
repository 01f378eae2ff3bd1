package dev.heddle.parallel.redistribute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.heddle.parallel.layout.AxisType;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Traffic.Link;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The layout pairs that users meet first, with the volumes worked out by hand. */
class BoundaryTest {
  private static final int FEATURES = 4;

  private static RowLayout data(int firstRank, int ranks, RowCounts counts) {
    Mesh mesh = Mesh.onRanks(firstRank, ranks).axis(Axis.DP, ranks).build();
    return RowLayout.of(Layout.on(mesh).shard(Axis.DP, 0).build(), counts, FEATURES).build();
  }

  private static RowLayout tensor(int firstRank, int ranks, RowCounts counts) {
    return tensorData(firstRank, ranks, 1, counts);
  }

  private static RowLayout tensorData(int firstRank, int tensor, int data, RowCounts counts) {
    Mesh mesh =
        Mesh.onRanks(firstRank, tensor * data).axis(Axis.TP, tensor).axis(Axis.DP, data).build();
    Layout layout = Layout.on(mesh).invariant(Axis.TP).shard(Axis.DP, 0).build();
    return RowLayout.of(layout, counts, FEATURES).build();
  }

  private static BoundaryPlan direct(RowLayout source, RowLayout destination) {
    BoundaryPlan plan = new Boundary(source, destination).plan(Strategy.DIRECT);
    plan.verify();
    return plan;
  }

  /** The volume of each link in rows. */
  private static Map<Link, Long> rows(TransferPlan plan) {
    Map<Link, Long> rows = new HashMap<>();
    plan.traffic().links().forEach((link, volume) -> rows.put(link, volume / FEATURES));
    return rows;
  }

  @Test
  void colocated_dp2ToTp2_eachRankGetsTheOthersRowsAndGradientsStay() {
    RowCounts counts = RowCounts.perSample(3, 2);
    BoundaryPlan plan = direct(data(0, 2, counts), tensor(0, 2, counts));
    assertThat(rows(plan.forward())).isEqualTo(Map.of(new Link(0, 1), 3L, new Link(1, 0), 2L));
    assertThat(plan.backward().orElseThrow().isLocal()).isTrue();
  }

  @Test
  void colocated_tp2ToDp2_rowsStayAndEachRankGetsTheOthersGradients() {
    RowCounts counts = RowCounts.perSample(3, 2);
    BoundaryPlan plan = direct(tensor(0, 2, counts), data(0, 2, counts));
    assertThat(plan.forward().isLocal()).isTrue();
    assertThat(rows(plan.backward().orElseThrow()))
        .isEqualTo(Map.of(new Link(0, 1), 3L, new Link(1, 0), 2L));
  }

  @Test
  void colocated_dp4ToTp2Dp2_onlyTheNeighbourInTheLaneIsMissing() {
    RowCounts counts = RowCounts.perSample(1, 2, 3, 4);
    BoundaryPlan plan = direct(data(0, 4, counts), tensorData(0, 2, 2, counts));
    assertThat(rows(plan.forward()))
        .isEqualTo(
            Map.of(new Link(1, 0), 2L, new Link(0, 1), 1L, new Link(3, 2), 4L, new Link(2, 3), 3L));
    assertThat(plan.backward().orElseThrow().isLocal()).isTrue();
  }

  @Test
  void colocated_tp2Dp2ToDp4_gradientsAreGatheredWithinTheLane() {
    RowCounts counts = RowCounts.perSample(1, 2, 3, 4);
    BoundaryPlan plan = direct(tensorData(0, 2, 2, counts), data(0, 4, counts));
    assertThat(plan.forward().isLocal()).isTrue();
    assertThat(rows(plan.backward().orElseThrow()))
        .isEqualTo(
            Map.of(new Link(1, 0), 2L, new Link(0, 1), 1L, new Link(3, 2), 4L, new Link(2, 3), 3L));
  }

  @Test
  void overlapping_dp3ToTp2_theRankOutsideSendsToBothAndHearsFromOne() {
    RowCounts counts = RowCounts.perSample(2, 3, 4);
    BoundaryPlan plan = direct(data(0, 3, counts), tensor(0, 2, counts));
    assertThat(rows(plan.forward()))
        .isEqualTo(
            Map.of(new Link(0, 1), 2L, new Link(1, 0), 3L, new Link(2, 0), 4L, new Link(2, 1), 4L));
    assertThat(rows(plan.backward().orElseThrow())).isEqualTo(Map.of(new Link(0, 2), 4L));
  }

  @Test
  void disjoint_manyReplicas_sendersAndOwnersAreSpreadEvenly() {
    RowCounts counts = RowCounts.perSample(2, 2, 2, 2);
    BoundaryPlan plan = direct(tensor(0, 4, counts), data(4, 4, counts));
    for (int rank = 0; rank < 4; rank++) {
      assertThat(plan.forward().traffic().sent(rank)).isEqualTo(2 * FEATURES);
    }
    BoundaryPlan back = direct(data(4, 4, counts), tensor(0, 4, counts));
    TransferPlan gradients = back.backward().orElseThrow();
    for (int rank = 0; rank < 4; rank++) {
      assertThat(gradients.traffic().sent(rank)).isEqualTo(2 * FEATURES);
    }
  }

  @Test
  void disjoint_replicasDoNotDivideReceivers_loadsDifferByLessThanARow() {
    RowCounts counts = RowCounts.perSample(7, 6);
    TransferPlan plan = direct(tensor(0, 3, counts), tensor(3, 4, counts)).forward();
    assertThat(IntStream.range(0, 3).mapToObj(rank -> plan.traffic().sent(rank)).toList())
        .allMatch(sent -> Math.abs(sent - 4 * 13 * FEATURES / 3.0) <= FEATURES);
    assertThat(plan.phases().getFirst().transfers()).hasSize(6);
  }

  @Test
  void senders_ofTheReceiversHost_comeFirst() {
    RowCounts counts = RowCounts.perSample(4);
    Mesh source = Mesh.onRanks(List.of(0, 4)).axis(Axis.TP, 2).build();
    Mesh destination = Mesh.onRanks(List.of(1, 2, 5)).axis(Axis.TP, 3).build();
    RowLayout from =
        RowLayout.of(Layout.on(source).invariant(Axis.TP).build(), counts, FEATURES).build();
    RowLayout to =
        RowLayout.of(Layout.on(destination).invariant(Axis.TP).build(), counts, FEATURES).build();
    TransferPlan plan = new Boundary(from, to).plan(Strategy.DIRECT, Hosts.ofSize(4)).forward();
    assertThat(rows(plan))
        .isEqualTo(Map.of(new Link(0, 1), 4L, new Link(0, 2), 4L, new Link(4, 5), 4L));
    assertThat(plan.traffic().betweenHosts(Hosts.ofSize(4))).isZero();
    assertThat(plan.traffic().busiest()).isEqualTo(8 * FEATURES);
  }

  @Test
  void scatterGather_replicasOnAnotherHost_eachRowCrossesOnce() {
    RowCounts counts = RowCounts.perSample(8);
    Boundary boundary = new Boundary(data(0, 1, counts), tensor(4, 4, counts));
    Hosts hosts = Hosts.ofSize(4);
    Traffic direct = boundary.plan(Strategy.DIRECT, hosts).forward().traffic();
    Traffic scattered = boundary.plan(Strategy.SCATTER_GATHER, hosts).forward().traffic();
    assertThat(direct.betweenHosts(hosts)).isEqualTo(4 * 8 * FEATURES);
    assertThat(scattered.betweenHosts(hosts)).isEqualTo(8 * FEATURES);
    assertThat(scattered.total()).isEqualTo(direct.total());
  }

  @Test
  void leader_dp2ToTp2_movesMoreThanDirect() {
    RowCounts counts = RowCounts.perSample(3, 2);
    Boundary boundary = new Boundary(data(0, 2, counts), tensor(0, 2, counts));
    TransferPlan plan = boundary.plan(Strategy.LEADER).forward();
    plan.verify();
    assertThat(plan.phases().stream().map(Phase::name)).containsExactly("send", "broadcast");
    assertThat(rows(plan)).isEqualTo(Map.of(new Link(1, 0), 2L, new Link(0, 1), 5L));
  }

  @Test
  void leader_contextParallelDestination_everyRankGetsTheWholeLane() {
    RowCounts counts = RowCounts.perSample(8);
    Mesh mesh = Mesh.onRanks(1, 2).axis(Axis.CP, 2).build();
    RowLayout destination =
        RowLayout.of(Layout.on(mesh).zigzag(Axis.CP, 1).build(), counts, FEATURES).build();
    Boundary boundary = new Boundary(data(0, 1, counts), destination);
    TransferPlan leader = boundary.plan(Strategy.LEADER).forward();
    assertThat(leader.phases().stream().map(Phase::name))
        .containsExactly("send", "broadcast", "take");
    assertThat(rows(leader)).isEqualTo(Map.of(new Link(0, 1), 8L, new Link(1, 2), 8L));
    TransferPlan direct = boundary.plan(Strategy.DIRECT).forward();
    assertThat(rows(direct)).isEqualTo(Map.of(new Link(0, 1), 4L, new Link(0, 2), 4L));
  }

  @Test
  void featureSharded_bothSides_onlyMissingColumnsMove() {
    RowCounts counts = RowCounts.perSample(3);
    Mesh two = Mesh.onRanks(0, 2).axis(Axis.TP, 2).build();
    Mesh three = Mesh.onRanks(0, 3).axis(Axis.TP, 3).build();
    RowLayout halves = RowLayout.of(Layout.on(two).shard(Axis.TP, 2).build(), counts, 6).build();
    RowLayout thirds = RowLayout.of(Layout.on(three).shard(Axis.TP, 2).build(), counts, 6).build();
    TransferPlan plan = direct(halves, thirds).forward();
    assertThat(plan.traffic().links()).isEqualTo(Map.of(new Link(0, 1), 3L, new Link(1, 2), 6L));
  }

  @Test
  void replicateDestination_gradientSummandsAreAddedInRankOrder() {
    RowCounts counts = RowCounts.perSample(4);
    Mesh mesh = Mesh.onRanks(1, 3).axis(Axis.CP, 3).build();
    RowLayout destination =
        RowLayout.of(Layout.on(mesh).replicate(Axis.CP).build(), counts, FEATURES).build();
    TransferPlan back = direct(data(0, 1, counts), destination).backward().orElseThrow();
    List<Transfer> transfers = back.phases().getFirst().transfers();
    assertThat(transfers.stream().map(Transfer::from)).containsExactly(1, 2, 3);
    assertThat(transfers.stream().map(Transfer::accumulate)).containsExactly(false, true, true);
  }

  @Test
  void fusedSequence_zigzag_imageRowsGoStraightToTheirPlace() {
    RowCounts counts = RowCounts.perSample(4);
    RowPlacement placement =
        RowPlacement.inSequence(counts, new int[] {8}, List.of(Intervals.of(1, 5)));
    Mesh mesh = Mesh.onRanks(1, 2).axis(Axis.CP, 2).build();
    RowLayout destination =
        RowLayout.of(Layout.on(mesh).zigzag(Axis.CP, 1).build(), placement, FEATURES)
            .inSequence()
            .build();
    TransferPlan plan = direct(data(0, 1, counts), destination).forward();
    // Rank 1 owns positions 0 1 6 7, rank 2 owns 2 to 5; the rows stand at 1 to 4.
    assertThat(plan.phases().getFirst().transfers())
        .extracting(Transfer::to, Transfer::pieces)
        .containsExactly(
            tuple(1, List.of(new RowPiece(0, 1, 0, 1))),
            tuple(2, List.of(new RowPiece(1, 4, 1, 0))));
  }

  @Test
  void sameLayout_planIsTheIdentity() {
    RowCounts counts = RowCounts.perSample(3, 2);
    assertThat(direct(data(0, 2, counts), data(0, 2, counts)).forward().isIdentity()).isTrue();
    assertThat(direct(data(0, 2, counts), tensor(0, 2, counts)).forward().isIdentity()).isFalse();
    assertThat(direct(tensor(0, 2, counts), data(0, 2, counts)).forward().isIdentity()).isFalse();
  }

  @Test
  void noRows_planIsEmptyAndProved() {
    RowCounts counts = RowCounts.perSample(0, 0);
    BoundaryPlan plan = direct(data(0, 2, counts), tensor(2, 2, counts));
    assertThat(plan.forward().phases()).isEmpty();
    assertThat(plan.forward().forRank(0)).isEmpty();
  }

  @Test
  void frozenSource_nothingIsSentBackAndThePlanSaysSo() {
    RowCounts counts = RowCounts.perSample(3, 2);
    BoundaryPlan plan =
        new Boundary(tensor(0, 2, counts), data(0, 2, counts))
            .withoutGradient()
            .plan(Strategy.DIRECT);
    plan.verify();
    assertThat(plan.backward()).isEmpty();
    assertThat(plan.table(4, 10)).endsWith("backward: nothing is sent, the source is frozen\n");
  }

  @Test
  void table_longPlan_listsSomeAndCountsAll() {
    RowCounts counts = RowCounts.perSample(IntStream.range(0, 16).map(i -> 1).toArray());
    TransferPlan plan = direct(data(0, 16, counts), tensor(16, 16, counts)).forward();
    String table = plan.table(4, 3);
    assertThat(table).contains("... and 253 more transfers\n");
    assertThat(table.lines().filter(line -> line.startsWith("exchange"))).hasSize(3);
    assertThat(table.lines().toList().getLast())
        .isEqualTo(" all   4096      4096         4096       0");
  }

  @Test
  void boundary_sidesThatDisagree_areRefused() {
    RowCounts counts = RowCounts.perSample(3, 2);
    assertThatThrownBy(
            () -> new Boundary(data(0, 2, counts), data(0, 2, RowCounts.perSample(3, 4))))
        .hasMessage(
            "boundary: sample 1 has 2 rows in 1 items at the source and 4 in 1 at the destination;"
                + " give both sides the same row counts");
    assertThatThrownBy(
            () -> new Boundary(data(0, 2, counts), data(0, 2, RowCounts.perSample(3, 2, 0))))
        .hasMessageContaining("destination 5 rows in 3 items of 3 samples");
    RowLayout wide = RowLayout.of(data(0, 2, counts).layout(), counts, FEATURES + 1).build();
    assertThatThrownBy(() -> new Boundary(data(0, 2, counts), wide))
        .hasMessageContaining("source has 4 features, destination 5");
    RowLayout copies = tensor(0, 2, counts);
    RowLayout replicate = copies.with(copies.layout().with(Axis.TP, AxisType.replicate()));
    assertThatThrownBy(() -> new Boundary(replicate, copies))
        .hasMessageContaining("axis tp of the source is Replicate; make it Invariant");
    assertThatThrownBy(() -> new Boundary(copies, replicate.gradient()))
        .hasMessageContaining("axis tp of the destination is Partial; make it Replicate");
  }

  @Test
  void partialSource_isAddedUpWhileItMoves() {
    RowCounts counts = RowCounts.perSample(4);
    RowLayout copies = tensor(0, 2, counts);
    RowLayout partial = copies.with(copies.layout().with(Axis.TP, AxisType.partial()));
    BoundaryPlan plan = direct(partial, tensor(2, 1, counts));
    assertThat(rows(plan.forward())).isEqualTo(Map.of(new Link(0, 2), 4L, new Link(1, 2), 4L));
    assertThat(rows(plan.backward().orElseThrow()))
        .isEqualTo(Map.of(new Link(2, 0), 4L, new Link(2, 1), 4L));
  }

  @Test
  void hosts_andBuffers_badRequests_areRefused() {
    RowCounts counts = RowCounts.perSample(1);
    TransferPlan plan = direct(data(0, 1, counts), data(0, 1, counts)).forward();
    assertThatThrownBy(() -> Hosts.ofSize(0)).hasMessageContaining("got 0 ranks per host");
    assertThatThrownBy(() -> plan.buffer(PlanBuffer.LANE))
        .hasMessageContaining("no rank has a buffer LANE under strategy direct");
  }
}
