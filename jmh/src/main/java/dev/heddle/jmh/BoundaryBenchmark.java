package dev.heddle.jmh;

import dev.heddle.jmh.boundary.BoundaryCase;
import dev.heddle.jmh.boundary.Direction;
import dev.heddle.jmh.boundary.HostMemory;
import dev.heddle.jmh.boundary.LayoutPair;
import dev.heddle.jmh.boundary.RankBatches;
import dev.heddle.jmh.boundary.Reach;
import dev.heddle.jmh.boundary.RowSize;
import dev.heddle.jmh.boundary.Volume;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.AuxCounters;
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
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A boundary between ranks that are threads of this JVM, and the plain copies of as many bytes
 * beside it. The counter {@code gigabytesPerSecond} tells how fast the rank writes that has most to
 * write; the set-up checks every number that arrives and prints the bytes sent beside the fewest
 * possible. {@code ./heddle bench boundary} measures a selection, crossing and copying in turns.
 *
 * <pre>{@code
 * java -jar jmh/target/heddle-jmh.jar BoundaryBenchmark -p pair=DP2_TO_CP2_ZIGZAG -p size=7x63x257
 * }</pre>
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
// While the JIT compiles, its threads take the cores of ranks that wait for each other.
@Warmup(iterations = 6, time = 1)
@Measurement(iterations = 8, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {
      // As the launcher has it, and touched: pages that new objects are the first to lie in cost
      // more
      // than a crossing.
      "-XX:+UseSerialGC",
      "-XX:MaxNewSize=24m",
      "-XX:+UseCondCardMark",
      "-XX:+AlwaysPreTouch",
      "-Xmx512m",
      "--add-modules=jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-Dheddle.leaks=off"
    })
@State(Scope.Benchmark)
public class BoundaryBenchmark {
  /** Operations for each time that the ranks are woken, so that waking them counts for little. */
  private static final int OPERATIONS = 2_000;

  /** The layouts. */
  @Param public LayoutPair pair = LayoutPair.DP2_TO_TP2;

  /** Samples, rows of each, features. */
  @Param({"32x64x256", "7x63x257"})
  public String size = RowSize.USUAL.label();

  /** How rows are moved. */
  @Param public Strategy strategy = Strategy.DIRECT;

  /** How ranks reach each other. */
  @Param public Reach reach = Reach.THREADS;

  /** Where the rows are before and behind; the other kinds are copied in and out. */
  @Param({"POOLED", "HEAP", "CONFINED"})
  public HostMemory memory = HostMemory.POOLED;

  /** Rows there, or their gradients back. */
  @Param public Direction direction = Direction.FORWARD;

  private @Nullable RankBatches ranks;
  private @Nullable BoundaryPlan plan;

  /** Bytes for each microsecond are megabytes a second; counted by the thousand, gigabytes. */
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  @State(Scope.Thread)
  public static class Speed {
    /** What the rank with most has written, in thousands of bytes. */
    public double gigabytesPerSecond;

    /** Each iteration counts by itself. */
    @Setup(Level.Iteration)
    public void clear() {
      gigabytesPerSecond = 0;
    }
  }

  /** Plans, proves the plan, and checks every number that arrives. */
  @Setup(Level.Trial)
  public void prepare() {
    if (!memory.isAvailable()) {
      throw new IllegalStateException(
          "BoundaryBenchmark: " + memory.label() + " memory needs a CUDA driver and a GPU");
    }
    BoundaryCase made = new BoundaryCase(pair, RowSize.of(size), List.of(strategy), reach, memory);
    BoundaryPlan planned = made.plan(strategy);
    made.run(List.of(planned), rank -> {});
    Volume volume = Volume.of(direction.of(planned));
    System.out.printf(
        "%n%s, %s, %s: %,d bytes sent, %,d is the least possible; %,d bytes written%n",
        made.label(),
        strategy.label(),
        direction.label(),
        volume.sent(),
        volume.least(),
        volume.written());
    plan = planned;
    ranks = new RankBatches(made, planned);
  }

  /** Ends the ranks. */
  @TearDown(Level.Trial)
  public void end() {
    RankBatches running = ranks;
    if (running != null) {
      running.close();
    }
  }

  /** The boundary. */
  @Benchmark
  @OperationsPerInvocation(OPERATIONS)
  public void cross(Speed speed) {
    run(speed, false);
  }

  /** The copies beside it. */
  @Benchmark
  @OperationsPerInvocation(OPERATIONS)
  public void copy(Speed speed) {
    run(speed, true);
  }

  private void run(Speed speed, boolean copies) {
    RankBatches running = ranks;
    BoundaryPlan planned = plan;
    if (running == null || planned == null) {
      throw new IllegalStateException("BoundaryBenchmark: not prepared");
    }
    running.run(
        transfer -> {
          for (int i = 0; i < OPERATIONS; i++) {
            if (copies) {
              transfer.copy(direction);
            } else {
              transfer.cross(direction);
            }
          }
          transfer.settle();
        });
    speed.gigabytesPerSecond += 1e-3 * OPERATIONS * Volume.of(direction.of(planned)).written();
  }
}
