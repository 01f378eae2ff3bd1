package dev.heddle.parity;

import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Layouts in one line: {@code dp2@0-1 | tp2@0-1} is vision data-parallel and language
 * tensor-parallel over the same two ranks. Axes are {@code tp} and {@code dp}; {@code z} behind
 * them divides the optimizer (ZeRO-1); ranks are written as in a configuration.
 */
final class Layouts {
  private static final Pattern AXIS = Pattern.compile("(tp|dp)(\\d+)");

  private Layouts() {}

  /** The layout that {@code text} says; the run has just the ranks that it names. */
  static ParallelConfig of(String text) {
    String[] sides = text.split("\\|");
    Placement vision = placement(sides[0].strip());
    Placement language = placement(sides[1].strip());
    int ranks = 1 + Math.max(vision.ranks().last(), language.ranks().last());
    return new ParallelConfig(ranks, vision, language);
  }

  private static Placement placement(String text) {
    String[] parts = text.split("@");
    int tp = 1;
    int dp = 1;
    Matcher axes = AXIS.matcher(parts[0]);
    while (axes.find()) {
      int size = Integer.parseInt(axes.group(2));
      if (axes.group(1).equals("tp")) {
        tp = size;
      } else {
        dp = size;
      }
    }
    Division usual = Division.USUAL;
    Division division =
        new Division(
            usual.cpMethod(),
            usual.sequenceParallel(),
            usual.stageLayers(),
            usual.chunks(),
            parts[0].endsWith("z"));
    return new Placement(RankSet.parse(parts[1]), tp, 1, 1, dp, division);
  }

  /** The line that gives {@code layout} again. */
  static String toText(ParallelConfig layout) {
    return toText(layout.vision()) + " | " + toText(layout.language());
  }

  private static String toText(Placement placement) {
    return "tp"
        + placement.tp()
        + "dp"
        + placement.dp()
        + (placement.division().shardOptimizer() ? "z@" : "@")
        + placement.ranks();
  }
}
