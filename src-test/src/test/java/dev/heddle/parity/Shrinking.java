package dev.heddle.parity;

import dev.heddle.parallel.context.ContextMethod;
import dev.heddle.parallel.data.GradientReduction;
import dev.heddle.parallel.pipeline.ScheduleKind;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * Makes a failing case smaller: takes away one thing after the other - a component, an axis, an
 * option, samples, steps - as long as it still fails.
 */
final class Shrinking {
  private Shrinking() {}

  /**
   * A smallest case that fails: nothing of it can be taken away.
   *
   * @param fails runs a case; may be asked {@code runs} times
   */
  static RandomCase smallest(RandomCase failing, Predicate<RandomCase> fails, int runs) {
    RandomCase best = failing;
    int left = runs;
    boolean smaller = true;
    while (smaller) {
      smaller = false;
      for (RandomCase candidate : simpler(best)) {
        if (left-- <= 0) {
          return best;
        }
        if (fails.test(candidate)) {
          best = candidate;
          smaller = true;
          break;
        }
      }
    }
    return best;
  }

  /** Every case with one thing less, what saves most first. */
  static List<RandomCase> simpler(RandomCase c) {
    List<RandomCase> simpler = new ArrayList<>();
    List<Placement> sides = c.sides();
    if (sides.size() == 3 && !c.frozen().contains("audio") && c.frozen().size() < 2) {
      simpler.add(placed(c, List.of(sides.getFirst(), sides.getLast())));
    }
    if (c.steps() > 1) {
      simpler.add(sized(c, 1, c.samples(), c.microBatches()));
    }
    simpler.addAll(smallerSides(c));
    if (c.microBatches() > 1) {
      simpler.add(sized(c, c.steps(), c.samples(), 1));
      simpler.add(sized(c, c.steps(), c.samples(), c.microBatches() - 1));
    }
    if (c.samples() > 1) {
      simpler.add(
          sized(c, c.steps(), c.samples() - 1, Math.min(c.microBatches(), c.samples() - 1)));
    }
    simpler.addAll(plainer(c));
    simpler.removeIf(c::equals);
    return simpler;
  }

  private static List<RandomCase> smallerSides(RandomCase c) {
    List<RandomCase> simpler = new ArrayList<>();
    List<Placement> sides = c.sides();
    for (int i = 0; i < sides.size(); i++) {
      for (Placement smaller : smaller(sides.get(i))) {
        List<Placement> changed = new ArrayList<>(sides);
        changed.set(i, smaller);
        simpler.add(placed(c, changed));
      }
    }
    // The same on the first ranks, and without the ranks that nobody uses.
    simpler.add(
        placed(
            c,
            sides.stream()
                .map(side -> RandomCase.with(side, RankSet.range(0, side.ranks().size())))
                .toList()));
    List<Integer> used =
        sides.stream().flatMap(side -> side.ranks().ranks().stream()).distinct().sorted().toList();
    simpler.add(
        placed(
            c,
            sides.stream()
                .map(
                    side ->
                        RandomCase.with(
                            side,
                            new RankSet(side.ranks().ranks().stream().map(used::indexOf).toList())))
                .toList()));
    return simpler;
  }

  /** A side with one axis less, shorter by one, or divided in a plainer way. */
  private static List<Placement> smaller(Placement side) {
    List<Placement> smaller = new ArrayList<>();
    int[] sizes = {side.tp(), side.cp(), side.pp(), side.dp()};
    for (int axis = 0; axis < sizes.length; axis++) {
      for (int size : IntStream.of(1, sizes[axis] - 1).filter(s -> s > 0).distinct().toArray()) {
        int[] cut = sizes.clone();
        cut[axis] = size;
        Division division = side.division();
        if (axis == 2) {
          division = divided(division, division.cpMethod(), List.of(), division.chunks());
        }
        int ranks = cut[0] * cut[1] * cut[2] * cut[3];
        if (ranks < side.ranks().size()) {
          smaller.add(
              new Placement(
                  new RankSet(side.ranks().ranks().subList(0, ranks)),
                  cut[0],
                  cut[1],
                  cut[2],
                  cut[3],
                  division));
        }
      }
    }
    Division division = side.division();
    for (Division plainer :
        List.of(
            divided(division, ContextMethod.RING, division.stageLayers(), division.chunks()),
            divided(division, division.cpMethod(), List.of(), division.chunks()),
            divided(division, division.cpMethod(), List.of(), 1),
            new Division(
                division.cpMethod(),
                false,
                division.stageLayers(),
                division.chunks(),
                division.shardOptimizer()),
            new Division(
                division.cpMethod(),
                division.sequenceParallel(),
                division.stageLayers(),
                division.chunks(),
                false))) {
      smaller.add(new Placement(side.ranks(), side.tp(), side.cp(), side.pp(), side.dp(), plainer));
    }
    return smaller;
  }

  private static Division divided(
      Division division, ContextMethod method, List<Integer> stageLayers, int chunks) {
    return new Division(
        method, division.sequenceParallel(), stageLayers, chunks, division.shardOptimizer());
  }

  private static List<RandomCase> plainer(RandomCase c) {
    List<RandomCase> simpler = new ArrayList<>();
    boolean chunked = c.sides().stream().anyMatch(side -> side.division().chunks() > 1);
    if (!chunked) {
      ScheduleKind usual = ScheduleKind.ONE_FORWARD_ONE_BACKWARD;
      simpler.add(laidOut(c, RandomCase.layout(usual, c.sides())));
    }
    simpler.add(switched(c, false, c.tied(), c.recompute()));
    simpler.add(switched(c, c.packed(), false, c.recompute()));
    simpler.add(switched(c, c.packed(), c.tied(), false));
    simpler.add(chosen(c, c.strategy(), List.of(), c.padded(), c.frozen()));
    simpler.add(chosen(c, c.strategy(), c.textOnly(), List.of(), c.frozen()));
    simpler.add(chosen(c, c.strategy(), c.textOnly(), c.padded(), Set.of()));
    simpler.add(chosen(c, Strategy.DIRECT, c.textOnly(), c.padded(), c.frozen()));
    simpler.add(optimized(c, Double.POSITIVE_INFINITY, Map.of(), GradientReduction.BUCKET_BYTES));
    return simpler;
  }

  private static RandomCase placed(RandomCase c, List<Placement> sides) {
    return laidOut(c, RandomCase.layout(c.layout().schedule(), sides));
  }

  private static RandomCase laidOut(RandomCase c, ParallelConfig layout) {
    return new RandomCase(
        layout,
        c.strategy(),
        c.steps(),
        c.samples(),
        c.microBatches(),
        c.packed(),
        c.tied(),
        c.recompute(),
        c.textOnly(),
        c.padded(),
        c.frozen(),
        c.clipNorm(),
        c.rates(),
        c.bucketBytes(),
        c.alone());
  }

  private static RandomCase sized(RandomCase c, int steps, int samples, int microBatches) {
    return new RandomCase(
        c.layout(),
        c.strategy(),
        steps,
        samples,
        microBatches,
        c.packed(),
        c.tied(),
        c.recompute(),
        c.textOnly().stream().filter(id -> id < samples).toList(),
        c.padded().stream().filter(id -> id < samples).toList(),
        c.frozen(),
        c.clipNorm(),
        c.rates(),
        c.bucketBytes(),
        c.alone());
  }

  private static RandomCase switched(
      RandomCase c, boolean packed, boolean tied, boolean recompute) {
    return new RandomCase(
        c.layout(),
        c.strategy(),
        c.steps(),
        c.samples(),
        c.microBatches(),
        packed,
        tied,
        recompute,
        c.textOnly(),
        c.padded(),
        c.frozen(),
        c.clipNorm(),
        c.rates(),
        c.bucketBytes(),
        c.alone());
  }

  private static RandomCase chosen(
      RandomCase c,
      Strategy strategy,
      List<Integer> textOnly,
      List<Integer> padded,
      Set<String> frozen) {
    return new RandomCase(
        c.layout(),
        strategy,
        c.steps(),
        c.samples(),
        c.microBatches(),
        c.packed(),
        c.tied(),
        c.recompute(),
        textOnly,
        padded,
        frozen,
        c.clipNorm(),
        c.rates(),
        c.bucketBytes(),
        c.alone());
  }

  private static RandomCase optimized(
      RandomCase c, double clipNorm, Map<String, Double> rates, long bucketBytes) {
    return new RandomCase(
        c.layout(),
        c.strategy(),
        c.steps(),
        c.samples(),
        c.microBatches(),
        c.packed(),
        c.tied(),
        c.recompute(),
        c.textOnly(),
        c.padded(),
        c.frozen(),
        clipNorm,
        rates,
        bucketBytes,
        c.alone());
  }
}
