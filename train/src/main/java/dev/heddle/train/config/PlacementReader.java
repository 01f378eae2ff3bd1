package dev.heddle.train.config;

import dev.heddle.parallel.context.ContextMethod;
import dev.heddle.parallel.pipeline.ScheduleKind;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** Reads the section {@code parallel}: where each component runs and how it is divided. */
final class PlacementReader {
  // Keeps a slip of the finger from overflowing a product of four axes.
  private static final int LARGEST_AXIS = 16384;
  private static final List<String> AXES = List.of("tp", "cp", "pp", "dp");

  private PlacementReader() {}

  /** A left-out count of ranks is as many as the components use. */
  static ParallelConfig parallel(SectionReader reader) {
    // Asked for first, so that refusals list the keys in their usual order.
    boolean given = reader.has("ranks");
    int ranks = reader.whole("ranks", 1, 1);
    ScheduleKind schedule =
        oneOf(
            reader,
            "schedule",
            ScheduleKind.values(),
            ScheduleKind::label,
            ScheduleKind.ONE_FORWARD_ONE_BACKWARD);
    Strategy boundary =
        oneOf(reader, "boundary", Strategy.values(), Strategy::label, Strategy.DIRECT);
    Placement vision = placement(reader.section("vision"));
    Placement audio = reader.has("audio") ? placement(reader.section("audio")) : null;
    reader.offer("audio");
    Placement language = placement(reader.section("language"));
    reader.refuseOtherKeys();
    ParallelConfig config = new ParallelConfig(ranks, schedule, boundary, vision, audio, language);
    if (given) {
      return config;
    }
    int used =
        1
            + config.placements().values().stream()
                .mapToInt(placement -> placement.ranks().last())
                .max()
                .orElse(0);
    reader.showDefault("ranks", Integer.toString(used));
    return new ParallelConfig(used, schedule, boundary, vision, audio, language);
  }

  private static <E extends Enum<E>> E oneOf(
      SectionReader reader, String key, E[] values, Function<E, String> label, E byDefault) {
    List<String> words = Arrays.stream(values).map(label).toList();
    return values[words.indexOf(reader.word(key, label.apply(byDefault), words))];
  }

  /** Left-out ranks are as many as the axes need, from rank 0. */
  private static Placement placement(SectionReader reader) {
    boolean given = reader.has("ranks");
    RankSet ranks = reader.ranks("ranks", RankSet.range(0, 1));
    Map<String, Integer> axes = axes(reader, ranks);
    Division division =
        new Division(
            oneOf(
                reader,
                "cpMethod",
                ContextMethod.values(),
                ContextMethod::label,
                ContextMethod.RING),
            reader.flag("sequenceParallel", false),
            reader.wholes("stageLayers", 1),
            (int) reader.whole("chunks", 1, 1, LARGEST_AXIS),
            reader.flag("shardOptimizer", false));
    reader.refuseOtherKeys();
    Placement placement = placement(ranks, axes, division);
    if (given || placement.axisProduct() > RankSet.MAXIMUM) {
      return placement;
    }
    ranks = RankSet.range(0, (int) placement.axisProduct());
    reader.showDefault("ranks", ranks.toString());
    return placement(ranks, axes, division);
  }

  private static Placement placement(RankSet ranks, Map<String, Integer> axes, Division division) {
    return new Placement(
        ranks, axes.get("tp"), axes.get("cp"), axes.get("pp"), axes.get("dp"), division);
  }

  /**
   * The sizes of the axes. Ranks and axes on the command line may place a component anew: if with
   * the file's other axes they do not fit and without them they do, those are 1.
   */
  private static Map<String, Integer> axes(SectionReader reader, RankSet ranks) {
    Map<String, Integer> axes = new LinkedHashMap<>();
    for (String axis : AXES) {
      axes.put(axis, (int) reader.whole(axis, 1, 1, LARGEST_AXIS));
    }
    if (!reader.isOnCommandLine("ranks") || product(axes) == ranks.size()) {
      return axes;
    }
    Map<String, Integer> anew = new LinkedHashMap<>(axes);
    anew.replaceAll((axis, size) -> reader.isOnCommandLine(axis) ? size : 1);
    if (product(anew) != ranks.size()) {
      return axes;
    }
    for (String axis : AXES) {
      if (!reader.isOnCommandLine(axis)) {
        reader.showDefault(axis, "1");
      }
    }
    return anew;
  }

  private static long product(Map<String, Integer> axes) {
    return axes.values().stream().mapToLong(Integer::longValue).reduce(1, Math::multiplyExact);
  }
}
