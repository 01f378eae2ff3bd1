package dev.heddle.parallel.redistribute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.layout.AxisType;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.mesh.Axis;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The laws of the boundary over random layout pairs; replay one with -Dheddle.seed=N. */
class BoundaryLawsTest {
  private static final int PAIRS = 600;
  private static final long FIRST_SEED = 1000;

  private interface Law {
    void check(Boundary boundary, Hosts hosts, Random random);
  }

  private static void forRandomBoundaries(Law law) {
    Long only = Long.getLong("heddle.seed");
    long first = only == null ? FIRST_SEED : only;
    long last = only == null ? FIRST_SEED + PAIRS : only + 1;
    for (long seed = first; seed < last; seed++) {
      RandomBoundary source = new RandomBoundary(seed);
      Boundary boundary = source.next();
      try {
        law.check(boundary, source.hosts(), new Random(seed));
      } catch (AssertionError | RuntimeException failure) {
        throw new AssertionError(
            "replay with -Dheddle.seed="
                + seed
                + "\nsource "
                + boundary.source()
                + "\ndestination "
                + boundary.destination()
                + "\n"
                + failure.getMessage(),
            failure);
      }
    }
  }

  @Test
  void transport_everyStrategy_isBitExactForward() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          Holdings source = boundary.source().holdings();
          // Sums are compared bit for bit too, so their summands are integers.
          boolean anyBits = source.summandCount() == 1;
          double[][][] x = randomSummands(source, random, anyBits);
          for (Strategy strategy : Strategy.values()) {
            TransferPlan plan = boundary.plan(strategy, hosts).forward();
            Holdings destination = boundary.destination().holdings();
            assertSame(
                new PlanSimulator(plan).run(PlanSimulator.store(x, source)),
                PlanSimulator.store(new double[][][] {sum(x)}, destination),
                strategy + " forward");
          }
        });
  }

  @Test
  void gradient_everyStrategy_arrivesCompleteAtEverySourceReplica() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          Holdings gradient = boundary.destination().gradient().holdings();
          double[][][] y = randomSummands(gradient, random, gradient.summandCount() == 1);
          for (Strategy strategy : Strategy.values()) {
            TransferPlan plan = boundary.plan(strategy, hosts).backward().orElseThrow();
            assertSame(
                new PlanSimulator(plan).run(PlanSimulator.store(y, gradient)),
                PlanSimulator.store(
                    new double[][][] {sum(y)}, boundary.source().gradient().holdings()),
                strategy + " backward");
          }
        });
  }

  @Test
  void adjoint_everyStrategy_innerProductsAgree() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          Holdings source = boundary.source().holdings();
          Holdings gradient = boundary.destination().gradient().holdings();
          Map<Integer, double[][]> x =
              PlanSimulator.store(randomSummands(source, random, false), source);
          Map<Integer, double[][]> y =
              PlanSimulator.store(randomSummands(gradient, random, false), gradient);
          for (Strategy strategy : Strategy.values()) {
            BoundaryPlan plan = boundary.plan(strategy, hosts);
            Map<Integer, double[][]> ax = new PlanSimulator(plan.forward()).run(x);
            Map<Integer, double[][]> aty = new PlanSimulator(plan.backward().orElseThrow()).run(y);
            // Integers of modest size: the sums are exact in double precision.
            assertThat(innerProduct(ax, y, gradient))
                .as("<Ax, y> and <x, A^T y>, %s", strategy)
                .isEqualTo(innerProduct(x, aty, source));
          }
        });
  }

  @Test
  void inverse_afterForward_isTheIdentity() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          RowLayout source = withCopies(boundary.source(), AxisType.partial());
          RowLayout destination = withCopies(boundary.destination(), AxisType.replicate());
          Map<Integer, double[][]> x =
              PlanSimulator.store(
                  randomSummands(source.holdings(), random, true), source.holdings());
          for (Strategy strategy : Strategy.values()) {
            TransferPlan there = new Boundary(source, destination).plan(strategy, hosts).forward();
            TransferPlan back = new Boundary(destination, source).plan(strategy, hosts).forward();
            assertSame(
                new PlanSimulator(back).run(new PlanSimulator(there).run(x)), x, "" + strategy);
          }
        });
  }

  @Test
  void transpose_ofTranspose_isTheSameMap() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          Boundary twice = boundary.transpose().transpose();
          for (Strategy strategy : Strategy.values()) {
            assertThat(twice.plan(strategy, hosts).forward().phases())
                .isEqualTo(boundary.plan(strategy, hosts).forward().phases());
          }
        });
  }

  @Test
  void verify_everyPlan_isProvedInBothDirections() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          for (Strategy strategy : Strategy.values()) {
            boundary.plan(strategy, hosts).verify();
          }
        });
  }

  @Test
  void traffic_ofEveryPlan_isWhatMoves() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          for (Strategy strategy : Strategy.values()) {
            BoundaryPlan plan = boundary.plan(strategy, hosts);
            checkTraffic(plan.forward());
            checkTraffic(plan.backward().orElseThrow());
          }
        });
  }

  private static void checkTraffic(TransferPlan plan) {
    PlanSimulator simulator = new PlanSimulator(plan);
    simulator.run(PlanSimulator.empty(plan.buffer(PlanBuffer.INPUT)));
    Traffic traffic = plan.traffic();
    Set<Integer> ranks = new HashSet<>(plan.buffer(PlanBuffer.INPUT).ranks());
    ranks.addAll(plan.buffer(PlanBuffer.OUTPUT).ranks());
    Map<Integer, Long> sentOverLinks = new HashMap<>();
    traffic.links().forEach((link, volume) -> sentOverLinks.merge(link.from(), volume, Long::sum));
    for (int rank : ranks) {
      assertThat(traffic.sent(rank)).isEqualTo(simulator.sent.getOrDefault(rank, 0L));
      assertThat(traffic.sent(rank)).isEqualTo(sentOverLinks.getOrDefault(rank, 0L));
      assertThat(traffic.received(rank)).isEqualTo(simulator.received.getOrDefault(rank, 0L));
    }
    assertThat(traffic.total())
        .isEqualTo(simulator.sent.values().stream().mapToLong(Long::longValue).sum());
  }

  @Test
  void volume_ofDirectAndScatterGather_isTheLowerBoundUnlessSummed() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          for (Strategy strategy : new Strategy[] {Strategy.DIRECT, Strategy.SCATTER_GATHER}) {
            BoundaryPlan plan = boundary.plan(strategy, hosts);
            for (TransferPlan way :
                new TransferPlan[] {plan.forward(), plan.backward().orElseThrow()}) {
              if (way.buffer(PlanBuffer.INPUT).summandCount() == 1) {
                Traffic traffic = way.traffic();
                for (int rank : way.buffer(PlanBuffer.OUTPUT).ranks()) {
                  assertThat(traffic.received(rank))
                      .as("%s %s rank %d", strategy, way.direction(), rank)
                      .isEqualTo(way.lowerBound(rank));
                }
              }
            }
          }
        });
  }

  @Test
  void betweenHosts_scatterGather_eachElementEntersAHostOnce() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          Holdings source = boundary.source().holdings();
          if (source.summandCount() > 1) {
            return;
          }
          Set<String> held = elementsOfHosts(source, hosts);
          Set<String> entering = elementsOfHosts(boundary.destination().holdings(), hosts);
          entering.removeAll(held);
          TransferPlan plan = boundary.plan(Strategy.SCATTER_GATHER, hosts).forward();
          assertThat(plan.traffic().betweenHosts(hosts)).isEqualTo(entering.size());
        });
  }

  private static Set<String> elementsOfHosts(Holdings holdings, Hosts hosts) {
    Set<String> elements = new HashSet<>();
    for (Holding holding : holdings.all()) {
      for (int run = 0; run < holding.runs().count(); run++) {
        for (long row = holding.runs().start(run); row < holding.runs().end(run); row++) {
          for (long f = holding.features().start(); f < holding.features().end(); f++) {
            elements.add(hosts.hostOf(holding.rank()) + " " + row + " " + f);
          }
        }
      }
    }
    return elements;
  }

  @Test
  void forRank_allRanksTogether_areThePlan() {
    forRandomBoundaries(
        (boundary, hosts, random) -> {
          TransferPlan plan = boundary.plan(Strategy.DIRECT, hosts).forward();
          Set<Integer> ranks = new HashSet<>(plan.buffer(PlanBuffer.INPUT).ranks());
          ranks.addAll(plan.buffer(PlanBuffer.OUTPUT).ranks());
          for (int phase = 0; phase < plan.phases().size(); phase++) {
            Set<Transfer> sends = new HashSet<>();
            Set<Transfer> receives = new HashSet<>();
            for (int rank : ranks) {
              TransferPlan.RankPhase part = plan.forRank(rank).get(phase);
              sends.addAll(part.sends());
              sends.addAll(part.copies());
              receives.addAll(part.receives());
              receives.addAll(part.copies());
            }
            Set<Transfer> all = new HashSet<>(plan.phases().get(phase).transfers());
            assertThat(sends).isEqualTo(all);
            assertThat(receives).isEqualTo(all);
          }
        });
  }

  /** Sum over summands and elements of a * b at one rank that holds the summand. */
  private static double innerProduct(
      Map<Integer, double[][]> a, Map<Integer, double[][]> b, Holdings holdings) {
    double product = 0;
    Set<String> counted = new HashSet<>();
    for (Holding holding : holdings.all()) {
      for (long row = 0; row < holdings.rowCount(); row++) {
        if (holding.runs().runOf(row) < 0) {
          continue;
        }
        int place = (int) holding.runs().placeOf(row);
        for (long f = holding.features().start(); f < holding.features().end(); f++) {
          if (counted.add(holding.summand() + " " + row + " " + f)) {
            int column = (int) (f - holding.features().start());
            product += a.get(holding.rank())[place][column] * b.get(holding.rank())[place][column];
          }
        }
      }
    }
    return product;
  }

  private static RowLayout withCopies(RowLayout side, AxisType replaced) {
    Layout layout = side.layout();
    for (Axis axis : side.mesh().axes()) {
      if (layout.type(axis).equals(replaced)) {
        layout = layout.with(axis, AxisType.invariant());
      }
    }
    return side.with(layout);
  }

  private static double[][][] randomSummands(Holdings holdings, Random random, boolean anyBits) {
    int rows = (int) holdings.rowCount();
    int features = (int) holdings.featureCount();
    double[][][] summands = new double[holdings.summandCount()][rows][features];
    for (double[][] summand : summands) {
      for (double[] row : summand) {
        for (int feature = 0; feature < features; feature++) {
          row[feature] = anyBits ? random.nextGaussian() : random.nextInt(2001) - 1000;
        }
      }
    }
    return summands;
  }

  private static double[][] sum(double[][][] summands) {
    double[][] sum = new double[summands[0].length][];
    for (int row = 0; row < sum.length; row++) {
      sum[row] = summands[0][row].clone();
      for (int summand = 1; summand < summands.length; summand++) {
        for (int feature = 0; feature < sum[row].length; feature++) {
          sum[row][feature] += summands[summand][row][feature];
        }
      }
    }
    return sum;
  }

  private static void assertSame(
      Map<Integer, double[][]> got, Map<Integer, double[][]> wanted, String what) {
    assertThat(got.keySet()).isEqualTo(wanted.keySet());
    for (int rank : wanted.keySet()) {
      assertThat(got.get(rank).length).isEqualTo(wanted.get(rank).length);
      for (int row = 0; row < wanted.get(rank).length; row++) {
        // Places that hold no row of the value are NaN on both sides: nothing else is touched.
        assertThat(got.get(rank)[row])
            .as("%s, rank %d, buffer row %d", what, rank, row)
            .isEqualTo(wanted.get(rank)[row]);
      }
    }
  }
}
