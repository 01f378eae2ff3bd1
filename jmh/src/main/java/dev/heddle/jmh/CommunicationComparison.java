package dev.heddle.jmh;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Layout;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowLayout;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.redistribute.Boundary;
import dev.heddle.parallel.redistribute.BoundaryExchange;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.parallel.redistribute.Traffic;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Prints what communication between ranks that are threads of one JVM costs, as ratios formed in
 * one run: a boundary's strategies against {@link Strategy#DIRECT}, bytes and time; and all-reduce,
 * all-gather and boundary against plain copies. {@code jmh/compare-communication} builds and runs
 * it.
 *
 * <p>The copy: every rank writes, at the same time as the others, as many bytes as the operation
 * has to write at the rank that receives most, each once and in one run. Where a boundary's buffer
 * also has places for other rows, such as words, the result has zeros there; as many are written
 * behind the copied bytes. All cases take turns, a few operations each, so that whatever else the
 * machine does hits all; a ratio is formed for each turn and the tables tell the median. Before
 * that every strategy must deliver the numbers that {@code direct} does.
 */
public final class CommunicationComparison {
  private static final long FEATURES = 256;
  private static final int ROWS = 64;
  private static final int SEQUENCE = 4 * ROWS;

  /** Turns that are not told: the JIT's compilation, which wants thousands of operations. */
  private static final int WARM_UP = 40;

  private int ranks = 2;
  private int samples = 32;
  private int rounds = 15;
  private int operations = 20;

  private CommunicationComparison() {}

  /** One thing that is timed, on one rank. */
  private record Case(String name, Runnable once) {}

  /** See {@link #usage()}. */
  public static void main(String[] arguments) {
    CommunicationComparison comparison = new CommunicationComparison();
    if (!comparison.read(arguments)) {
      System.err.print(usage());
      System.exit(2);
    }
    comparison.run();
  }

  private static String usage() {
    return """
        usage: jmh/compare-communication [--ranks 2] [--samples 32] [--rounds 15] [--operations 20]
          --ranks       threads, an even number of them
          --samples     samples of 64 rows of 256 numbers (F32) that cross a boundary
          --rounds      turns that each case takes
          --operations  operations in a turn
        """;
  }

  private boolean read(String[] arguments) {
    try {
      for (int i = 0; i + 1 < arguments.length; i += 2) {
        int value = Integer.parseInt(arguments[i + 1]);
        switch (arguments[i]) {
          case "--ranks" -> ranks = value;
          case "--samples" -> samples = value;
          case "--rounds" -> rounds = value;
          case "--operations" -> operations = value;
          default -> {
            return false;
          }
        }
      }
    } catch (NumberFormatException e) {
      return false;
    }
    boolean positive = samples > 0 && rounds > 0 && operations > 0 && ranks > 0;
    return positive && ranks % 2 == 0 && arguments.length % 2 == 0;
  }

  // ---- what is compared

  private RowLayout layout(Axis axis, int size, boolean zigzag, RowPlacement placement) {
    Mesh mesh = Mesh.onRanks(0, ranks).axis(axis, size).axis(Axis.DP, ranks / size).build();
    Layout.Builder layout = Layout.on(mesh);
    layout = zigzag ? layout.zigzag(axis, RowLayout.POSITION_DIM) : layout.invariant(axis);
    RowLayout.Builder rows =
        RowLayout.of(layout.shard(Axis.DP, RowLayout.SAMPLE_DIM).build(), placement, FEATURES);
    return (zigzag ? rows.inSequence() : rows).build();
  }

  /** The boundaries, all over the same ranks. */
  private Map<String, Boundary> boundaries() {
    int[] rows = new int[samples];
    Arrays.fill(rows, ROWS);
    int[] lengths = new int[samples];
    Arrays.fill(lengths, SEQUENCE);
    int[][] positions = new int[samples][ROWS];
    for (int[] of : positions) {
      // Text before and behind the picture.
      Arrays.setAll(of, i -> ROWS / 2 + i);
    }
    RowCounts counts = RowCounts.perSample(rows);
    RowPlacement dense = RowPlacement.dense(counts);
    RowLayout data = layout(Axis.TP, 1, false, dense);
    RowLayout tensor = layout(Axis.TP, 2, false, dense);
    Map<String, Boundary> boundaries = new LinkedHashMap<>();
    boundaries.put("fan-in, dp to tp", new Boundary(data, tensor));
    boundaries.put("fan-out, tp to dp", new Boundary(tensor, data));
    boundaries.put(
        "dp to cp, zigzag",
        new Boundary(
            data,
            layout(Axis.CP, ranks, true, RowPlacement.inSequence(counts, lengths, positions))));
    return boundaries;
  }

  private void run() {
    Map<String, Map<Strategy, BoundaryPlan>> plans = plans();
    Map<String, double[]> times = new LinkedHashMap<>();
    measure(plans, times);
    print(plans, times);
  }

  private void measure(
      Map<String, Map<Strategy, BoundaryPlan>> plans, Map<String, double[]> times) {
    LocalWorld.run(ranks, world -> rank(world, plans, times));
  }

  private Map<String, Map<Strategy, BoundaryPlan>> plans() {
    Map<String, Map<Strategy, BoundaryPlan>> plans = new LinkedHashMap<>();
    boundaries()
        .forEach(
            (name, boundary) -> {
              Map<Strategy, BoundaryPlan> made = new LinkedHashMap<>();
              for (Strategy strategy : Strategy.values()) {
                BoundaryPlan plan = boundary.plan(strategy);
                plan.verify();
                made.put(strategy, plan);
              }
              plans.put(name, made);
            });
    return plans;
  }

  // ---- one rank

  private void rank(
      Communicator world,
      Map<String, Map<Strategy, BoundaryPlan>> plans,
      Map<String, double[]> times) {
    try (CpuDevice device = CpuDevice.open("rank" + world.rank(), 1, CpuBackend.BEST);
        MemoryScope lasting = MemoryScope.open()) {
      List<Case> cases = new ArrayList<>();
      plans.forEach(
          (name, strategies) -> {
            @Nullable NDArray[] expected = {null};
            strategies.forEach(
                (strategy, plan) ->
                    cases.add(boundary(world, device, name, plan, strategy, expected)));
            BoundaryPlan direct = strategies.get(Strategy.DIRECT);
            cases.add(copy(world, device, name, largest(direct, true)));
            if (direct != null) {
              String backward = name + ", backward";
              cases.add(backward(world, device, backward, direct, expected[0]));
              cases.add(copy(world, device, backward, largest(direct, false)));
            }
          });
      for (long bytes : sizes()) {
        NDArray whole = numbered(device, bytes / Float.BYTES / ranks * ranks);
        cases.add(
            new Case("all-reduce " + bytes, () -> world.allReduce(whole, ReduceOp.MAX).await()));
        cases.add(copy(world, device, "all-reduce " + bytes, new Written(bytes, 0)));
        long part = whole.size() / ranks;
        List<NDArray> parts = new ArrayList<>();
        for (int i = 0; i < ranks; i++) {
          parts.add(whole.slice(0, i * part, (i + 1) * part));
        }
        cases.add(
            new Case(
                "all-gather " + bytes,
                () -> world.allGather(parts.get(world.rank()), parts).await()));
        cases.add(
            copy(world, device, "all-gather " + bytes, new Written(bytes - bytes / ranks, 0)));
      }
      for (int round = -WARM_UP; round < rounds; round++) {
        for (Case turn : cases) {
          world.barrier();
          long start = System.nanoTime();
          for (int i = 0; i < operations; i++) {
            try (MemoryScope step = MemoryScope.open()) {
              turn.once.run();
            }
          }
          world.barrier();
          double micros = (System.nanoTime() - start) * 1e-3 / operations;
          if (world.rank() == 0 && round >= 0) {
            times.computeIfAbsent(turn.name, key -> new double[rounds])[round] = micros;
          }
        }
      }
    }
  }

  private static long[] sizes() {
    return new long[] {64 << 10, 1 << 20, 16 << 20};
  }

  private static String timed(String boundary, Strategy strategy) {
    return boundary + " " + strategy.label();
  }

  private static Case boundary(
      Communicator world,
      CpuDevice device,
      String name,
      BoundaryPlan plan,
      Strategy strategy,
      @Nullable NDArray[] expected) {
    BoundaryExchange exchange = new BoundaryExchange(plan, world);
    long rows = plan.boundary().source().holdings().of(world.rank()).runs().rows().size();
    NDArray value = numbered(device, rows * FEATURES).reshape(Shape.of(rows, FEATURES));
    NDArray arrived = exchange.forward(value, device, DType.F32);
    NDArray direct = expected[0];
    if (direct == null) {
      expected[0] = arrived;
    } else if (arrived == null || !Arrays.equals(direct.toFloats(), arrived.toFloats())) {
      throw new IllegalStateException(
          "CommunicationComparison: "
              + timed(name, strategy)
              + " delivers other numbers to rank "
              + world.rank()
              + " than direct");
    }
    return new Case(timed(name, strategy), () -> exchange.forward(value, device, DType.F32));
  }

  /** The gradient of what arrived, back to where it came from. */
  private static Case backward(
      Communicator world,
      CpuDevice device,
      String name,
      BoundaryPlan plan,
      @Nullable NDArray arrived) {
    BoundaryExchange exchange = new BoundaryExchange(plan, world);
    return new Case(
        timed(name, Strategy.DIRECT), () -> exchange.backward(arrived, device, DType.F32));
  }

  /** What a rank has to write: bytes that come from somewhere, and zeros. */
  private record Written(long copied, long cleared) {}

  /** Every rank writes that much at once. */
  private static Case copy(Communicator world, CpuDevice device, String against, Written bytes) {
    NDArray from = numbered(device, bytes.copied / Float.BYTES);
    NDArray to = numbered(device, (bytes.copied + bytes.cleared) / Float.BYTES);
    NDArray blank = to.slice(0, from.size(), to.size());
    return new Case(
        "copy for " + against,
        () -> {
          MemorySegment.copy(from.segment(), 0, to.segment(), 0, bytes.copied);
          if (bytes.cleared > 0) {
            // Our own kernel, which is half as fast again as MemorySegment.fill.
            blank.kernels().fill(blank, 0);
          }
          world.barrier();
        });
  }

  private static NDArray numbered(CpuDevice device, long count) {
    float[] values = new float[Math.toIntExact(count)];
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    return NDArray.of(device, Shape.of(count), values);
  }

  // ---- the tables

  /** What the rank with most rows has to write at the destination, or at the source. */
  private Written largest(@Nullable BoundaryPlan plan, boolean atDestination) {
    long rows = 0;
    long blank = 0;
    if (plan != null) {
      RowLayout layout = atDestination ? plan.boundary().destination() : plan.boundary().source();
      for (int rank = 0; rank < ranks; rank++) {
        Holding holding = layout.holdings().of(rank);
        if (holding.runs().size() > rows) {
          rows = holding.runs().size();
          blank = holding.bufferRows() - rows;
        }
      }
    }
    return new Written(rows * FEATURES * Float.BYTES, blank * FEATURES * Float.BYTES);
  }

  private void print(Map<String, Map<Strategy, BoundaryPlan>> plans, Map<String, double[]> times) {
    System.out.printf(
        Locale.ROOT,
        "%d ranks, threads of one JVM; %d samples of %d rows of %d F32; medians of %d turns%n%n",
        ranks,
        samples,
        ROWS,
        FEATURES,
        rounds);
    System.out.printf(
        "%-20s %-15s | %12s %12s %9s | %9s %9s%n",
        "boundary, forward", "strategy", "bytes sent", "least", "of direct", "us", "of direct");
    plans.forEach(
        (name, strategies) ->
            strategies.forEach(
                (strategy, plan) -> {
                  Traffic traffic = plan.forward().traffic();
                  long direct = strategies.values().iterator().next().forward().traffic().total();
                  System.out.printf(
                      Locale.ROOT,
                      "%-20s %-15s | %,12d %,12d %9s | %9.1f %9.2f%n",
                      name,
                      strategy.label(),
                      traffic.total() * Float.BYTES,
                      plan.forward().lowerBound() * Float.BYTES,
                      direct == 0 ? "-" : text((double) traffic.total() / direct),
                      median(time(times, timed(name, strategy))),
                      ratio(times, timed(name, strategy), timed(name, Strategy.DIRECT)));
                }));
    System.out.printf(
        "%n%-36s | %9s %9s %9s%n", "beside a copy of what arrives", "us", "copy us", "of copy");
    for (String name : times.keySet()) {
      String copied = name.replace(" " + Strategy.DIRECT.label(), "");
      String copy = "copy for " + copied;
      if (times.containsKey(copy)) {
        System.out.printf(
            Locale.ROOT,
            "%-36s | %9.1f %9.1f %9.2f%n",
            name,
            median(time(times, name)),
            median(time(times, copy)),
            ratio(times, name, copy));
      }
    }
  }

  private static String text(double ratio) {
    return String.format(Locale.ROOT, "%.2f", ratio);
  }

  private static double[] time(Map<String, double[]> times, String name) {
    double[] of = times.get(name);
    if (of == null) {
      throw new IllegalStateException("CommunicationComparison: " + name + " was not timed");
    }
    return of;
  }

  /** The median of the turns' ratios. */
  private static double ratio(Map<String, double[]> times, String name, String against) {
    double[] ratios = time(times, name).clone();
    double[] divisors = time(times, against);
    for (int i = 0; i < ratios.length; i++) {
      ratios[i] /= divisors[i];
    }
    return median(ratios);
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
