package dev.heddle.jmh;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Boundary;
import dev.heddle.parallel.redistribute.BoundaryExchange;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A boundary's transfers between ranks that are threads of this JVM: 32 samples of 64 image rows,
 * 256 features, F32 (2 MiB), there and back. What {@link Strategy#DIRECT} saves over {@link
 * Strategy#LEADER}, the way of the reference system, is copies; the set-up prints the elements that
 * each plan moves.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {
      "--add-modules=jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-Dheddle.leaks=off"
    })
@State(Scope.Benchmark)
public class BoundaryBenchmark {
  private static final int SAMPLES = 32;
  private static final int ROWS = 64;
  private static final int FEATURES = 256;

  /** Exchanges in one run of the ranks, so that starting threads does not count. */
  private static final int EXCHANGES = 200;

  /** Layouts of source and destination over the same ranks, {@code dp x tp} each. */
  public enum Pair {
    /** Vision data-parallel, language tensor-parallel. */
    DP2_TO_TP2(1, 2, 2, 1),
    /** The other way round. */
    TP2_TO_DP2(2, 1, 1, 2),
    /** Over four ranks to both at once. */
    DP4_TO_TP2_DP2(1, 4, 2, 2),
    /** Sizes that do not divide. */
    DP3_TO_TP3(1, 3, 3, 1);

    private final int sourceTensor;
    private final int sourceData;
    private final int targetTensor;
    private final int targetData;

    Pair(int sourceTensor, int sourceData, int targetTensor, int targetData) {
      this.sourceTensor = sourceTensor;
      this.sourceData = sourceData;
      this.targetTensor = targetTensor;
      this.targetData = targetData;
    }

    private Boundary boundary() {
      int[] counts = new int[SAMPLES];
      Arrays.fill(counts, ROWS);
      RowCounts rows = RowCounts.perSample(counts);
      return new Boundary(
          layout(sourceTensor, sourceData, rows), layout(targetTensor, targetData, rows));
    }

    private static RowLayout layout(int tensor, int data, RowCounts rows) {
      Mesh mesh = Mesh.onRanks(0, tensor * data).axis(Axis.TP, tensor).axis(Axis.DP, data).build();
      Layout layout = Layout.on(mesh).invariant(Axis.TP).shard(Axis.DP, 0).build();
      return RowLayout.of(layout, rows, FEATURES).build();
    }
  }

  /** The layouts. */
  @Param public Pair pair = Pair.DP2_TO_TP2;

  /** How rows are moved. */
  @Param public Strategy strategy = Strategy.DIRECT;

  private @Nullable BoundaryPlan plan;

  /** Plans, proves the plan, and checks every number that arrives in one exchange. */
  @Setup(Level.Trial)
  public void prepare() {
    BoundaryPlan made = pair.boundary().plan(strategy);
    made.verify();
    plan = made;
    System.out.printf(
        "%n%s %s: %,d elements sent forward, %,d is the least possible%n",
        pair, strategy.label(), made.forward().traffic().total(), made.forward().lowerBound());
    run(1, true);
  }

  /** Value there, gradient back. */
  @Benchmark
  @OperationsPerInvocation(EXCHANGES)
  public void thereAndBack() {
    run(EXCHANGES, false);
  }

  private void run(int exchanges, boolean checked) {
    BoundaryPlan current = plan;
    if (current == null) {
      throw new IllegalStateException("BoundaryBenchmark: not prepared");
    }
    int ranks = current.boundary().source().mesh().rankCount();
    LocalWorld.run(ranks, world -> rank(world, current, exchanges, checked));
  }

  private static void rank(Communicator world, BoundaryPlan plan, int exchanges, boolean checked) {
    int rank = world.rank();
    Holding source = plan.boundary().source().holdings().of(rank);
    Holding target = plan.boundary().destination().holdings().of(rank);
    BoundaryExchange exchange = new BoundaryExchange(plan, world);
    try (CpuDevice device = CpuDevice.open("rank" + rank, 1, CpuBackend.BEST);
        MemoryScope lasting = MemoryScope.open()) {
      NDArray rows = numbered(device, source.runs().rows());
      for (int i = 0; i < exchanges; i++) {
        try (MemoryScope step = MemoryScope.open()) {
          NDArray there = exchange.forward(rows, device, DType.F32);
          NDArray back = exchange.backward(there, device, DType.F32);
          if (checked) {
            check("forward", rank, target.runs().rows(), there);
            check("backward", rank, source.runs().rows(), back);
          }
        }
      }
    }
  }

  /** Every element tells its row and feature. */
  private static NDArray numbered(CpuDevice device, Intervals rows) {
    float[] values = new float[Math.toIntExact(rows.size()) * FEATURES];
    int at = 0;
    for (int i = 0; i < rows.count(); i++) {
      for (long row = rows.start(i); row < rows.end(i); row++) {
        for (int feature = 0; feature < FEATURES; feature++) {
          values[at++] = row * FEATURES + feature;
        }
      }
    }
    return NDArray.of(device, Shape.of(rows.size(), FEATURES), values);
  }

  private static void check(String what, int rank, Intervals rows, @Nullable NDArray arrived) {
    float[] values = arrived == null ? new float[0] : arrived.toFloats();
    int at = 0;
    for (int i = 0; i < rows.count(); i++) {
      for (long row = rows.start(i); row < rows.end(i); row++) {
        for (int feature = 0; feature < FEATURES; feature++, at++) {
          if (at >= values.length || values[at] != row * FEATURES + feature) {
            throw new IllegalStateException(
                "BoundaryBenchmark: "
                    + what
                    + ", rank "
                    + rank
                    + ", row "
                    + row
                    + ", feature "
                    + feature
                    + " is wrong");
          }
        }
      }
    }
  }
}
