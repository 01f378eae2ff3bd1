package dev.heddle.parallel.redistribute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.World;
import dev.heddle.parallel.layout.AxisType;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The laws of the boundary over random layout pairs, with rows that really travel between the ranks
 * of a {@link World}: what arrives is exactly A x and Aᵀ y, so transport is exact and the two are
 * adjoint, whatever the strategy; and it takes the bytes that the plan says. Replay one pair with
 * -Dheddle.seed=N in {@link LocalBoundaryExchangeTest}.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class BoundaryExchangeConformance {
  private static final long FIRST_SEED = 5000;
  private static final DType[] DTYPES = {DType.F64, DType.F32, DType.BF16};

  /** What the rows travel between. */
  protected abstract World world();

  /** The numbers of ranks of the worlds that random pairs are tried in. */
  protected abstract List<Integer> worldSizes();

  /** How many random pairs are tried in each world; all of their ranks are in it. */
  protected abstract int pairs();

  /** The seed of the only pair to try, or null. */
  protected @Nullable Long onlySeed() {
    return null;
  }

  /** A boundary and what every rank brings and must get, by rank, as rows of its buffer. */
  private record Case(
      long seed,
      DType dtype,
      Boundary boundary,
      List<Integer> ranks,
      Map<Strategy, BoundaryPlan> plans,
      Map<Integer, double[][]> value,
      Map<Integer, double[][]> wantedValue,
      Map<Integer, double[][]> gradient,
      Map<Integer, double[][]> wantedGradient) {

    static Case of(long seed) {
      RandomBoundary random = new RandomBoundary(seed);
      Boundary boundary = random.next();
      Hosts hosts = random.hosts();
      Random numbers = new Random(seed);
      DType dtype = DTYPES[(int) (seed % DTYPES.length)];
      Holdings source = boundary.source().holdings();
      Holdings target = boundary.destination().holdings();
      Holdings gradient = boundary.destination().gradient().holdings();
      double[][][] x = summands(source, numbers, dtype);
      double[][][] y = summands(gradient, numbers, dtype);
      Map<Strategy, BoundaryPlan> plans = new HashMap<>();
      for (Strategy strategy : Strategy.values()) {
        plans.put(strategy, boundary.plan(strategy, hosts));
      }
      TreeSet<Integer> ranks = new TreeSet<>(source.ranks());
      ranks.addAll(target.ranks());
      return new Case(
          seed,
          dtype,
          boundary,
          List.copyOf(ranks),
          plans,
          PlanSimulator.store(x, source),
          PlanSimulator.store(new double[][][] {sum(x)}, target),
          PlanSimulator.store(y, gradient),
          PlanSimulator.store(new double[][][] {sum(y)}, boundary.source().gradient().holdings()));
    }

    /** Numbers of the dtype; where they are summed, integers, so that every sum is exact. */
    private static double[][][] summands(Holdings holdings, Random random, DType dtype) {
      int rows = (int) holdings.rowCount();
      double[][][] all = new double[holdings.summandCount()][rows][(int) holdings.featureCount()];
      for (double[][] summand : all) {
        for (double[] row : summand) {
          for (int i = 0; i < row.length; i++) {
            row[i] =
                holdings.summandCount() > 1
                    ? random.nextInt(15) - 7
                    : rounded(random.nextGaussian(), dtype);
          }
        }
      }
      return all;
    }

    private static double rounded(double value, DType dtype) {
      return switch (dtype) {
        case F32 -> (float) value;
        case BF16 -> DType.bf16ToFloat(DType.floatToBf16((float) value));
        default -> value;
      };
    }

    private static double[][] sum(double[][][] summands) {
      double[][] sum = new double[summands[0].length][];
      for (int row = 0; row < sum.length; row++) {
        sum[row] = summands[0][row].clone();
        for (int s = 1; s < summands.length; s++) {
          for (int i = 0; i < sum[row].length; i++) {
            sum[row][i] += summands[s][row][i];
          }
        }
      }
      return sum;
    }

    @Override
    public String toString() {
      return "replay with -Dheddle.seed="
          + seed
          + "\nsource "
          + boundary.source()
          + "\ndestination "
          + boundary.destination();
    }
  }

  /** What each rank of a case does. */
  private interface Law {
    void check(Case pair, Communicator group, Device device);
  }

  private static boolean fits(long seed, int ranks) {
    Boundary boundary = new RandomBoundary(seed).next();
    return Stream.of(boundary.source(), boundary.destination())
        .flatMap(side -> side.holdings().ranks().stream())
        .allMatch(rank -> rank < ranks);
  }

  private List<Case> cases(int ranks) {
    Long only = onlySeed();
    return only == null
        ? LongStream.iterate(FIRST_SEED, seed -> seed + 1)
            .filter(seed -> fits(seed, ranks))
            .limit(pairs())
            .mapToObj(Case::of)
            .toList()
        : List.of(Case.of(only));
  }

  /** All cases in one run: a rank that has no part in one goes on to the next. */
  @SuppressWarnings("try") // scopes are there to be open
  private void forRandomBoundaries(int ranks, Law law) {
    List<Case> cases = cases(ranks);
    run(
        ranks,
        (world, device) -> {
          for (Case pair : cases) {
            if (pair.ranks().contains(world.rank())) {
              Communicator group = world.subgroup("pair" + pair.seed(), pair.ranks()).orElseThrow();
              try (MemoryScope scope = MemoryScope.open()) {
                law.check(pair, group, device);
              } catch (AssertionError | RuntimeException failure) {
                throw new AssertionError(pair + "\n" + failure.getMessage(), failure);
              }
            }
          }
        });
  }

  private static NDArray value(Case pair, int rank, Device device) {
    return array(pair.value().get(rank), pair.boundary().source(), rank, pair, device);
  }

  private static NDArray gradient(Case pair, int rank, Device device) {
    return array(pair.gradient().get(rank), pair.boundary().destination(), rank, pair, device);
  }

  private static NDArray array(
      double[][] rows, RowLayout side, int rank, Case pair, Device device) {
    if (rows == null) {
      return null;
    }
    long features = side.holdings().of(rank).features().size();
    double[] flat = Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
    return NDArray.of(device, pair.dtype(), Shape.of(rows.length, features), flat);
  }

  private static void assertHolds(NDArray got, double[][] wanted, Holding holding, String what) {
    if (wanted == null) {
      assertThat(got).as(what).isNull();
      return;
    }
    double[] flat = Arrays.stream(wanted).flatMapToDouble(Arrays::stream).toArray();
    for (int i = 0; i < flat.length; i++) {
      // Places of the buffer where no row of the boundary belongs.
      flat[i] = Double.isNaN(flat[i]) ? 0 : flat[i];
    }
    assertThat(got.shape())
        .as(what)
        .isEqualTo(Shape.of(holding.bufferRows(), holding.features().size()));
    assertThat(got.toDoubles()).as(what).isEqualTo(flat);
  }

  @ParameterizedTest
  @MethodSource("worldSizes")
  void forwardAndBackward_everyStrategy_areExactOnEveryRank(int ranks) {
    forRandomBoundaries(
        ranks,
        (pair, group, device) -> {
          int rank = group.globalRank(group.rank());
          Boundary boundary = pair.boundary();
          for (Strategy strategy : Strategy.values()) {
            BoundaryExchange exchange = new BoundaryExchange(pair.plans().get(strategy), group);
            NDArray x = value(pair, rank, device);
            NDArray ax = exchange.forward(x, device, pair.dtype());
            assertHolds(
                ax,
                pair.wantedValue().get(rank),
                boundary.destination().holdings().find(rank),
                strategy + " forward on rank " + rank);
            NDArray y = gradient(pair, rank, device);
            NDArray aty = exchange.backward(y, device, pair.dtype());
            assertHolds(
                aty,
                pair.wantedGradient().get(rank),
                boundary.source().holdings().find(rank),
                strategy + " backward on rank " + rank);
            if (x != null) {
              assertThat(x.toDoubles())
                  .as("%s: what is sent stays as it is", strategy)
                  .isEqualTo(value(pair, rank, device).toDoubles());
            }
          }
        });
  }

  @ParameterizedTest
  @MethodSource("worldSizes")
  void bytesMoved_overEachLink_equalThePlans(int ranks) {
    forRandomBoundaries(
        ranks,
        (pair, group, device) -> {
          int rank = group.globalRank(group.rank());
          for (Strategy strategy : Strategy.values()) {
            BoundaryPlan plan = pair.plans().get(strategy);
            BoundaryExchange exchange = new BoundaryExchange(plan, group);
            CommunicationStatistics before = group.statistics().snapshot();
            exchange.forward(value(pair, rank, device), device, pair.dtype());
            CommunicationStatistics forward = group.statistics().since(before);
            checkTraffic(plan.forward(), forward, rank, pair);
            before = group.statistics().snapshot();
            exchange.backward(gradient(pair, rank, device), device, pair.dtype());
            CommunicationStatistics backward = group.statistics().since(before);
            checkTraffic(plan.backward().orElseThrow(), backward, rank, pair);
          }
        });
  }

  private static void checkTraffic(
      TransferPlan plan, CommunicationStatistics moved, int rank, Case pair) {
    Traffic traffic = plan.traffic();
    long bytes = pair.dtype().byteSize();
    CommunicationStatistics.Traffic exchanged = moved.of(CommunicationKind.EXCHANGE);
    assertThat(exchanged.sentBytes()).isEqualTo(bytes * traffic.sent(rank));
    assertThat(exchanged.receivedBytes()).isEqualTo(bytes * traffic.received(rank));
    for (int other : pair.ranks()) {
      assertThat(moved.bytesSentTo(other)).isEqualTo(bytes * traffic.link(rank, other));
    }
    assertThat(moved.totalCount())
        .as("nothing but exchanges, at most one to send and one to receive for each phase")
        .isEqualTo(exchanged.count())
        .isLessThanOrEqualTo(2 * plan.phases().size());
    if (plan.strategy() == Strategy.DIRECT && plan.buffer(PlanBuffer.INPUT).summandCount() == 1) {
      assertThat(exchanged.receivedBytes()).isEqualTo(bytes * plan.lowerBound(rank));
    }
  }

  // ---- named layouts

  private static final RowCounts COUNTS = RowCounts.perItem(new int[][] {{3}, {2}, {4}});

  private static RowLayout side(Mesh mesh, Axis axis, AxisType type) {
    return RowLayout.of(Layout.on(mesh).add(axis, type).build(), COUNTS, 2).build();
  }

  private static RowLayout dataParallel(int ranks) {
    return side(Mesh.onRanks(0, ranks).axis(Axis.DP, ranks).build(), Axis.DP, AxisType.shard(0));
  }

  private static RowLayout tensorParallel(int ranks, AxisType type) {
    return side(Mesh.onRanks(0, ranks).axis(Axis.TP, ranks).build(), Axis.TP, type);
  }

  private void run(int ranks, RankBody body) {
    world()
        .run(
            ranks,
            World.PATIENT,
            RankProgram.onDevice(
                world -> CpuDevice.open("cpu" + world.rank(), 1, CpuBackend.REFERENCE), body::run));
  }

  private interface RankBody {
    void run(Communicator world, Device device) throws Exception;
  }

  @Test
  void summedGradients_ofAnyNumbers_haveTheSameBitsOnEveryRankAndInEveryRun() {
    // Three replicas that each use the rows on their own: their gradients are added up.
    Boundary boundary = new Boundary(dataParallel(3), tensorParallel(3, AxisType.replicate()));
    run(
        3,
        (world, device) -> {
          long rows = boundary.source().holdings().of(world.rank()).bufferRows();
          for (Strategy strategy : Strategy.values()) {
            BoundaryExchange exchange = new BoundaryExchange(boundary.plan(strategy), world);
            double[] first = {};
            for (int attempt = 0; attempt < 30; attempt++) {
              if ((attempt + world.rank()) % 3 == 0) {
                Thread.sleep(1);
              }
              NDArray y = NDArray.of(device, DType.F32, Shape.of(9, 2), numbers(world.rank()));
              NDArray sum = exchange.backward(y, device, DType.F32);
              double[] got = sum.toDoubles();
              if (attempt == 0) {
                first = got;
                assertThat(sum.shape()).isEqualTo(Shape.of(rows, 2));
                assertThat(got).isEqualTo(summedInRankOrder(world.rank(), (int) rows * 2));
              }
              assertThat(got).isEqualTo(first);
            }
          }
        });
  }

  private static double[] numbers(int rank) {
    Random random = new Random(rank);
    double[] values = new double[18];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextGaussian() * Math.pow(10, random.nextInt(6)));
    }
    return values;
  }

  private static double[] summedInRankOrder(int lane, int count) {
    int start = lane == 0 ? 0 : lane == 1 ? 6 : 10;
    double[] sum = new double[count];
    for (int i = 0; i < count; i++) {
      float total = (float) numbers(0)[start + i];
      total += (float) numbers(1)[start + i];
      total += (float) numbers(2)[start + i];
      sum[i] = total;
    }
    return sum;
  }

  @Test
  void rowsOnTheirWay_whileOthersAreComputed_arriveWhenAwaited() {
    Boundary boundary = new Boundary(dataParallel(3), tensorParallel(3, AxisType.invariant()));
    run(
        3,
        (world, device) -> {
          for (Strategy strategy : Strategy.values()) {
            BoundaryExchange exchange = new BoundaryExchange(boundary.plan(strategy), world);
            long rows = boundary.source().holdings().of(world.rank()).bufferRows();
            List<BoundaryExchange.Pending> pending = new ArrayList<>();
            for (int microBatch = 0; microBatch < 3; microBatch++) {
              NDArray x =
                  NDArray.full(
                      device, DType.F32, Shape.of(rows, 2), (double) rows + 10 * microBatch);
              pending.add(exchange.beginForward(x, device, DType.F32));
            }
            for (int microBatch = 0; microBatch < 3; microBatch++) {
              NDArray all = pending.get(microBatch).awaitRows();
              double[] wanted = new double[18];
              for (int i = 0; i < 18; i++) {
                wanted[i] = 10 * microBatch + (i < 6 ? 3 : i < 10 ? 2 : 4);
              }
              assertThat(all.toDoubles()).isEqualTo(wanted);
            }
            pending.forEach(BoundaryExchange.Pending::awaitSent);
          }
        });
  }

  @Test
  void anIdentity_handsTheRowsOn() {
    Boundary boundary = new Boundary(dataParallel(3), dataParallel(3));
    run(
        3,
        (world, device) -> {
          BoundaryExchange exchange = new BoundaryExchange(boundary.plan(Strategy.DIRECT), world);
          long rows = boundary.source().holdings().of(world.rank()).bufferRows();
          NDArray x = NDArray.full(device, DType.F32, Shape.of(rows, 2), 1);
          assertThat(exchange.forward(x, device, DType.F32)).isSameAs(x);
          assertThat(exchange.backward(x, device, DType.F32)).isSameAs(x);
          assertThat(world.statistics().totalCount()).isZero();
        });
  }

  @Test
  void whatAMicroBatchAllocates_isGivenBack() {
    Boundary boundary = new Boundary(dataParallel(2), tensorParallel(2, AxisType.replicate()));
    run(
        2,
        (world, device) -> {
          BoundaryExchange exchange = new BoundaryExchange(boundary.plan(Strategy.LEADER), world);
          long rows = boundary.source().holdings().of(world.rank()).bufferRows();
          NDArray x = NDArray.full(device, DType.F32, Shape.of(rows, 2), 1);
          long allocations = 0;
          for (int step = 0; step < 20; step++) {
            try (MemoryScope scope = MemoryScope.open()) {
              NDArray ax = exchange.forward(x, device, DType.F32);
              NDArray aty = exchange.backward(ax, device, DType.F32);
              assertThat(scope).isNotNull();
              assertThat(aty.toDoubles()).containsOnly(2);
            }
            if (step == 3) {
              allocations = device.memory().systemAllocations();
            }
          }
          assertThat(device.memory().systemAllocations()).isEqualTo(allocations);
        });
  }

  @Test
  void wrongRows_areRefusedWithWhatIsWanted() {
    Boundary boundary =
        new Boundary(dataParallel(2), tensorParallel(2, AxisType.invariant())).withoutGradient();
    run(
        3,
        (world, device) -> {
          BoundaryExchange exchange = new BoundaryExchange(boundary.plan(Strategy.DIRECT), world);
          NDArray wrong = NDArray.full(device, DType.F32, Shape.of(2, 2), 1);
          if (world.rank() == 2) {
            assertThat(exchange.forward(null, device, DType.F32)).isNull();
            assertThatThrownBy(() -> exchange.forward(wrong, device, DType.F32))
                .hasMessageContaining("rank 2: the rank is not in the mesh that rows come from");
            return;
          }
          assertThatThrownBy(() -> exchange.forward(null, device, DType.F32))
              .hasMessageContaining("boundary forward on rank " + world.rank())
              .hasMessageContaining(world.rank() == 0 ? "rows [5,2], got none" : "rows [4,2]");
          assertThatThrownBy(() -> exchange.forward(wrong, device, DType.F32))
              .hasMessageContaining("got F32[2,2] on cpu");
          assertThatThrownBy(() -> exchange.backward(wrong, device, DType.F32))
              .isInstanceOf(IllegalStateException.class)
              .hasMessageContaining("frozen source");
          Communicator alone = world.subgroup("alone", List.of(world.rank())).orElseThrow();
          assertThatThrownBy(() -> new BoundaryExchange(boundary.plan(Strategy.DIRECT), alone))
              .hasMessageContaining("which is not in group alone");
          assertThat(alone.allReduce(1, ReduceOp.SUM)).isEqualTo(1);
        });
  }
}
