package dev.heddle.parallel.redistribute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The proof must fail on every broken plan: each test breaks sound plans in one way. */
class PlanVerifierTest {
  private interface Damage {
    /** The transfers to put in the place of the given one. */
    List<Transfer> replace(Transfer transfer);
  }

  @Test
  void verify_transferDropped_fails() {
    everyDamagedPlanIsRefused(transfer -> List.of());
  }

  @Test
  void verify_transferTwice_fails() {
    everyDamagedPlanIsRefused(transfer -> List.of(transfer, transfer));
  }

  @Test
  void verify_lastRowDropped_fails() {
    everyDamagedPlanIsRefused(
        transfer -> {
          RowPiece last = transfer.pieces().getLast();
          RowPiece shorter =
              new RowPiece(last.start(), last.end() - 1, last.sourcePlace(), last.targetPlace());
          return List.of(withLastPiece(transfer, shorter));
        });
  }

  @Test
  void verify_wrongPlaceAtReceiver_fails() {
    everyDamagedPlanIsRefused(
        transfer -> {
          RowPiece last = transfer.pieces().getLast();
          return List.of(
              withLastPiece(
                  transfer,
                  new RowPiece(
                      last.start(), last.end(), last.sourcePlace(), last.targetPlace() + 1)));
        });
  }

  @Test
  void verify_wrongPlaceAtSender_fails() {
    everyDamagedPlanIsRefused(
        transfer -> {
          RowPiece last = transfer.pieces().getLast();
          return List.of(
              withLastPiece(
                  transfer,
                  new RowPiece(
                      last.start(), last.end(), last.sourcePlace() - 1, last.targetPlace())));
        });
  }

  @Test
  void verify_wrongColumn_fails() {
    everyDamagedPlanIsRefused(
        transfer ->
            List.of(
                new Transfer(
                    transfer.from(),
                    transfer.to(),
                    transfer.features(),
                    transfer.sourceColumn() + 1,
                    transfer.targetColumn(),
                    transfer.accumulate(),
                    transfer.pieces())));
  }

  @Test
  void verify_senderWithoutTheRows_fails() {
    everyDamagedPlanIsRefused(
        transfer ->
            List.of(
                new Transfer(
                    9999,
                    transfer.to(),
                    transfer.features(),
                    transfer.sourceColumn(),
                    transfer.targetColumn(),
                    transfer.accumulate(),
                    transfer.pieces())));
  }

  @Test
  void verify_addedInsteadOfWrittenOrTheReverse_fails() {
    everyDamagedPlanIsRefused(
        transfer ->
            List.of(
                new Transfer(
                    transfer.from(),
                    transfer.to(),
                    transfer.features(),
                    transfer.sourceColumn(),
                    transfer.targetColumn(),
                    !transfer.accumulate(),
                    transfer.pieces())));
  }

  @Test
  void verify_phasesInTheWrongOrder_saysThatTheRowIsNotThereYet() {
    Layout one = Layout.on(Mesh.single(0)).build();
    Layout copies =
        Layout.on(Mesh.onRanks(1, 2).axis(Axis.TP, 2).build()).invariant(Axis.TP).build();
    RowCounts counts = RowCounts.perSample(2, 4);
    TransferPlan plan =
        new Boundary(RowLayout.of(one, counts, 2).build(), RowLayout.of(copies, counts, 2).build())
            .plan(Strategy.SCATTER_GATHER)
            .forward();
    TransferPlan reversed =
        new TransferPlan(
            plan.direction(), plan.strategy(), counts, plan.buffers(), plan.phases().reversed());
    assertThatThrownBy(reversed::verify)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "boundary plan (forward, scatter-gather): rank 2 row 3 (sample 1 item 0 position 1)"
                + " features [0,2) is read from OUTPUT in phase gather before it is there");
  }

  @Test
  void verify_rankIsSentWhatItHolds_saysSoUnderDirect() {
    Layout copies =
        Layout.on(Mesh.onRanks(0, 2).axis(Axis.TP, 2).build()).invariant(Axis.TP).build();
    RowCounts counts = RowCounts.perSample(3);
    RowLayout side = RowLayout.of(copies, counts, 2).build();
    TransferPlan plan = new Boundary(side, side).plan(Strategy.DIRECT).forward();
    Phase exchange = plan.phases().getFirst();
    Transfer own = exchange.transfers().getFirst();
    assertThat(own.isLocal()).isTrue();
    Transfer wasteful =
        new Transfer(1, own.to(), own.features(), 0, 0, own.accumulate(), own.pieces());
    TransferPlan changed = withPhase(plan, 0, List.of(wasteful, exchange.transfers().get(1)));
    assertThatThrownBy(changed::verify)
        .hasMessage(
            "boundary plan (forward, direct): rank 0 row 0 (sample 0 item 0 position 0)"
                + " features [0,2) is sent by rank 1 though the receiver holds it");
  }

  @Test
  void plan_rowHeldByNobody_isRefused() {
    Layout one = Layout.on(Mesh.single(0)).build();
    RowLayout side = RowLayout.of(one, RowCounts.perSample(3), 2).build();
    List<Holding> incomplete = new ArrayList<>();
    for (Holding holding : side.holdings().all()) {
      incomplete.add(holding.restrictTo(Intervals.of(0, 1, 2, 3)));
    }
    ExchangePlanner planner =
        new ExchangePlanner(
            "exchange",
            PlanBuffer.INPUT,
            side.holdings(),
            PlanBuffer.OUTPUT,
            side.holdings(),
            Hosts.single());
    assertThatThrownBy(() -> planner.add(incomplete, side.holdings().all()))
        .hasMessageContaining("rank 0 needs features [0,2) of row 1, which the source ranks");
  }

  private static Transfer withLastPiece(Transfer transfer, RowPiece last) {
    List<RowPiece> pieces = new ArrayList<>(transfer.pieces());
    pieces.set(pieces.size() - 1, last);
    return new Transfer(
        transfer.from(),
        transfer.to(),
        transfer.features(),
        transfer.sourceColumn(),
        transfer.targetColumn(),
        transfer.accumulate(),
        pieces);
  }

  private static TransferPlan withPhase(TransferPlan plan, int index, List<Transfer> transfers) {
    List<Phase> phases = new ArrayList<>(plan.phases());
    Phase phase = phases.get(index);
    phases.set(index, new Phase(phase.name(), phase.reads(), phase.writes(), transfers));
    return new TransferPlan(
        plan.direction(), plan.strategy(), plan.counts(), plan.buffers(), phases);
  }

  private static void everyDamagedPlanIsRefused(Damage damage) {
    Long only = Long.getLong("heddle.seed");
    long first = only == null ? 5000 : only;
    long last = only == null ? 5150 : only + 1;
    Map<Strategy, Integer> broken = new EnumMap<>(Strategy.class);
    for (long seed = first; seed < last; seed++) {
      RandomBoundary source = new RandomBoundary(seed);
      Random random = new Random(seed);
      BoundaryPlan both = source.next().plan(Strategy.values()[(int) (seed % 3)], source.hosts());
      for (TransferPlan plan : new TransferPlan[] {both.forward(), both.backward().orElseThrow()}) {
        if (plan.phases().isEmpty()) {
          continue;
        }
        int index = random.nextInt(plan.phases().size());
        List<Transfer> transfers = new ArrayList<>(plan.phases().get(index).transfers());
        int chosen = random.nextInt(transfers.size());
        List<Transfer> instead = damage.replace(transfers.remove(chosen));
        transfers.addAll(chosen, instead);
        TransferPlan damaged = withPhase(plan, index, transfers);
        String what = "-Dheddle.seed=" + seed + " " + plan.direction() + " " + plan.strategy();
        try {
          damaged.verify();
        } catch (IllegalStateException refusal) {
          assertThat(refusal).hasMessageStartingWith("boundary plan (" + plan.direction());
          broken.merge(plan.strategy(), 1, Integer::sum);
          continue;
        }
        // A leader broadcasts rows that nobody takes; a plan without them may pass, if it works.
        assertThat(plan.strategy()).as(what).isEqualTo(Strategy.LEADER);
        assertWorks(damaged, what);
      }
    }
    if (only == null) {
      assertThat(broken.values()).hasSize(3).allMatch(count -> count > 20);
    }
  }

  private static void assertWorks(TransferPlan plan, String what) {
    Holdings input = plan.buffer(PlanBuffer.INPUT);
    Holdings output = plan.buffer(PlanBuffer.OUTPUT);
    double[][][] summands =
        new double[input.summandCount()][(int) input.rowCount()][(int) input.featureCount()];
    double[][] sum = new double[(int) input.rowCount()][(int) input.featureCount()];
    for (int summand = 0; summand < summands.length; summand++) {
      for (int row = 0; row < sum.length; row++) {
        for (int feature = 0; feature < sum[row].length; feature++) {
          summands[summand][row][feature] = 1 + summand * 100_000 + row * 100 + feature;
          sum[row][feature] += summands[summand][row][feature];
        }
      }
    }
    Map<Integer, double[][]> got =
        new PlanSimulator(plan).run(PlanSimulator.store(summands, input));
    Map<Integer, double[][]> wanted = PlanSimulator.store(new double[][][] {sum}, output);
    wanted.forEach(
        (rank, buffer) ->
            assertThat(Arrays.deepEquals(got.get(rank), buffer))
                .as(what + " rank " + rank)
                .isTrue());
  }
}
