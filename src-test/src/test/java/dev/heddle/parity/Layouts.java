package dev.heddle.parity;

import dev.heddle.parallel.context.ContextMethod;
import dev.heddle.parallel.pipeline.ScheduleKind;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Layouts in one line: {@code dp2@0-1 | tp2sp.cp2@2-5} is vision data-parallel over ranks 0 and 1,
 * language tensor-parallel with sequence parallelism and context-parallel over the others; of three
 * sides the middle one is audio. Axes are {@code tp}, {@code cp}, {@code pp}, {@code dp}; {@code
 * chunks2} gives each rank two pipeline stages; {@code sp} is sequence parallelism; {@code ring},
 * {@code all-gather} and {@code all-to-all} say how context-parallel ranks compute attention;
 * {@code z} divides the optimizer (ZeRO-1); {@code layers1,3} says how many blocks each stage has.
 * {@code ; gpipe} at the end names the schedule, 1F1B otherwise. Dots may stand between. Ranks are
 * written as in a configuration.
 */
final class Layouts {
  private static final Pattern WORD =
      Pattern.compile(
          "(tp|cp|pp|dp|chunks)(\\d+)|(sp)|(ring|all-gather|all-to-all)|(z)|layers([\\d,]+)|(\\.)");

  private static final ScheduleKind DEFAULT = ScheduleKind.ONE_FORWARD_ONE_BACKWARD;

  private Layouts() {}

  /** The layout that {@code text} says; the run has just the ranks that it names. */
  static ParallelConfig of(String text) {
    String[] scheduled = text.split(";");
    String[] sides = scheduled[0].split("\\|");
    Placement vision = placement(sides[0].strip());
    Placement audio = sides.length == 3 ? placement(sides[1].strip()) : null;
    Placement language = placement(sides[sides.length - 1].strip());
    int last = Math.max(vision.ranks().last(), language.ranks().last());
    return new ParallelConfig(
        1 + (audio == null ? last : Math.max(last, audio.ranks().last())),
        scheduled.length > 1 ? schedule(scheduled[1].strip()) : DEFAULT,
        Strategy.DIRECT,
        vision,
        audio,
        language);
  }

  private static ScheduleKind schedule(String label) {
    return Arrays.stream(ScheduleKind.values())
        .filter(kind -> kind.label().equals(label))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("layout: no schedule " + label));
  }

  private static Placement placement(String text) {
    String[] parts = text.split("@");
    Map<String, Integer> sizes = new HashMap<>();
    boolean sequenceParallel = false;
    boolean divided = false;
    List<Integer> stageLayers = new ArrayList<>();
    ContextMethod method = ContextMethod.RING;
    Matcher words = WORD.matcher(parts[0]);
    int end = 0;
    while (words.find() && words.start() == end) {
      end = words.end();
      if (words.group(1) != null) {
        sizes.put(words.group(1), Integer.parseInt(words.group(2)));
      } else if (words.group(3) != null) {
        sequenceParallel = true;
      } else if (words.group(4) != null) {
        String label = words.group(4);
        for (ContextMethod each : ContextMethod.values()) {
          method = each.label().equals(label) ? each : method;
        }
      } else if (words.group(5) != null) {
        divided = true;
      } else if (words.group(6) != null) {
        Arrays.stream(words.group(6).split(",")).map(Integer::valueOf).forEach(stageLayers::add);
      }
    }
    if (end < parts[0].length()) {
      throw new IllegalArgumentException("layout: cannot read " + parts[0].substring(end));
    }
    return new Placement(
        RankSet.parse(parts[1]),
        sizes.getOrDefault("tp", 1),
        sizes.getOrDefault("cp", 1),
        sizes.getOrDefault("pp", 1),
        sizes.getOrDefault("dp", 1),
        new Division(
            method, sequenceParallel, stageLayers, sizes.getOrDefault("chunks", 1), divided));
  }

  /** The line that gives {@code layout} again. */
  static String toText(ParallelConfig layout) {
    Placement audio = layout.audio();
    return toText(layout.vision())
        + (audio == null ? "" : " | " + toText(audio))
        + " | "
        + toText(layout.language())
        + (layout.schedule() == DEFAULT ? "" : "; " + layout.schedule().label());
  }

  private static String toText(Placement placement) {
    Division division = placement.division();
    return "tp"
        + placement.tp()
        + (division.sequenceParallel() ? "sp" : "")
        + ".cp"
        + placement.cp()
        + division.cpMethod().label()
        + ".pp"
        + placement.pp()
        + ".chunks"
        + division.chunks()
        + (division.stageLayers().isEmpty() ? "" : ".layers" + listed(division.stageLayers()))
        + ".dp"
        + placement.dp()
        + (division.shardOptimizer() ? "z" : "")
        + "@"
        + placement.ranks();
  }

  private static String listed(List<Integer> numbers) {
    return numbers.stream().map(String::valueOf).collect(Collectors.joining(","));
  }
}
