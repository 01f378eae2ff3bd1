package dev.heddle.jmh.boundary;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * A boundary under circumstances that can be measured.
 *
 * @param pair the layouts
 * @param size the rows
 * @param strategies how they move, beside one another
 * @param reach how ranks reach each other
 * @param memory where the rows are before and behind
 */
@SuppressWarnings("try") // scopes are there to be open
public record BoundaryCase(
    LayoutPair pair, RowSize size, List<Strategy> strategies, Reach reach, HostMemory memory) {
  /** About so many bytes are written in a turn. */
  private static final long BYTES_IN_A_TURN = 64L << 20;

  private static final int FEWEST = 4;
  private static final int MOST = 200;

  /** Turns that are not told. */
  private static final int WARM_UP = 5;

  /** Takes a copy of the strategies. */
  public BoundaryCase {
    strategies = List.copyOf(strategies);
  }

  /**
   * Microseconds of an operation in each turn.
   *
   * @param crossing by strategy
   * @param copying of the plain copies beside it
   * @param between of the plain copies between the ranks; empty unless rows are copied in and out
   */
  public record Times(Map<Strategy, double[]> crossing, double[] copying, double[] between) {
    /** The turns of a strategy that was measured. */
    public double[] of(Strategy strategy) {
      return Objects.requireNonNull(crossing.get(strategy), strategy::label);
    }
  }

  /** For example {@code dp2 to tp2 32x64x256}, with what is not threads and the pool. */
  public String label() {
    return pair.label()
        + " "
        + size.label()
        + (reach == Reach.THREADS ? "" : " " + reach.label())
        + (memory == HostMemory.POOLED ? "" : " " + memory.label());
  }

  /** The plan of a strategy, proved. */
  public BoundaryPlan plan(Strategy strategy) {
    BoundaryPlan plan = pair.boundary(size).plan(strategy);
    plan.verify();
    return plan;
  }

  /** A rank that is ready: the ranks, and its part of each plan. */
  public record Rank(Communicator world, List<BoundaryTransfer> transfers) {}

  /**
   * Runs {@code body} on every rank with its part of each plan, which has delivered the right
   * numbers in both directions before.
   */
  public void run(List<BoundaryPlan> plans, Consumer<Rank> body) {
    run(plans, true, body);
  }

  /** As {@link #run(List, Consumer)} of plans that it has run: they are not checked again. */
  public void runAgain(List<BoundaryPlan> plans, Consumer<Rank> body) {
    run(plans, false, body);
  }

  private void run(List<BoundaryPlan> plans, boolean checked, Consumer<Rank> body) {
    List<RankRows> rows = plans.stream().map(plan -> new RankRows(pair.ranks())).toList();
    LocalWorld.run(
        pair.ranks(),
        threads -> reach.with(threads, world -> runRank(world, plans, rows, checked, body)));
  }

  private void runRank(
      Communicator world,
      List<BoundaryPlan> plans,
      List<RankRows> rows,
      boolean checked,
      Consumer<Rank> body) {
    try (Arena life = Arena.ofConfined();
        CpuDevice device = CpuDevice.open("rank" + world.rank(), 1, CpuBackend.BEST);
        MemoryScope lasting = MemoryScope.open()) {
      List<BoundaryTransfer> transfers = new ArrayList<>();
      for (int i = 0; i < plans.size(); i++) {
        BoundaryTransfer transfer =
            new BoundaryTransfer(plans.get(i), world, device, memory, life, rows.get(i));
        if (checked) {
          for (Direction direction : Direction.values()) {
            transfer.check(direction);
          }
        }
        transfers.add(transfer);
      }
      world.barrier();
      body.accept(new Rank(world, transfers));
      transfers.forEach(BoundaryTransfer::settle);
    }
  }

  /**
   * Measures all strategies and the plain copies, which take turns.
   *
   * @param rounds turns of each
   */
  public Map<Direction, Times> measure(int rounds) {
    List<BoundaryPlan> plans = strategies.stream().map(this::plan).toList();
    Map<Direction, Times> times = new EnumMap<>(Direction.class);
    for (Direction direction : Direction.values()) {
      Map<Strategy, double[]> crossing = new EnumMap<>(Strategy.class);
      strategies.forEach(strategy -> crossing.put(strategy, new double[rounds]));
      times.put(
          direction,
          new Times(crossing, new double[rounds], new double[hasBetween() ? rounds : 0]));
    }
    run(
        plans,
        rank -> {
          for (int round = -WARM_UP; round < rounds; round++) {
            takeTurns(rank, plans, times, round);
          }
        });
    return times;
  }

  private void takeTurns(
      Rank rank, List<BoundaryPlan> plans, Map<Direction, Times> times, int round) {
    times.forEach(
        (direction, of) -> {
          int count = operations(Volume.of(direction.of(plans.getFirst())));
          for (int i = 0; i < plans.size(); i++) {
            BoundaryTransfer transfer = rank.transfers.get(i);
            double micros = micros(rank.world, count, transfer, () -> transfer.cross(direction));
            note(rank, of.of(strategies.get(i)), round, micros);
          }
          BoundaryTransfer first = rank.transfers.getFirst();
          double micros = micros(rank.world, count, first, () -> first.copy(direction));
          note(rank, of.copying, round, micros);
          if (hasBetween()) {
            micros = micros(rank.world, count, first, () -> first.copyBetween(direction));
            note(rank, of.between, round, micros);
          }
        });
  }

  /** Where rows lie in the pool they are not written anew, and a core has what it copies. */
  private boolean hasBetween() {
    return memory != HostMemory.POOLED;
  }

  private static void note(Rank rank, double[] times, int round, double micros) {
    if (rank.world.rank() == 0 && round >= 0) {
      times[round] = micros;
    }
  }

  private static int operations(Volume volume) {
    return (int) Math.clamp(BYTES_IN_A_TURN / Math.max(1, volume.written()), FEWEST, MOST);
  }

  private static double micros(
      Communicator world, int count, BoundaryTransfer transfer, Runnable operation) {
    world.barrier();
    long start = System.nanoTime();
    for (int i = 0; i < count; i++) {
      operation.run();
    }
    transfer.settle();
    world.barrier();
    return (System.nanoTime() - start) * 1e-3 / count;
  }
}
