package dev.heddle.train.run;

import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.ScheduleTimeline.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A step as a picture: one row a class of ranks, time to the right. A cell begins with its work,
 * {@code F}orward, {@code B}ackward or {@code W}eight gradients, and the microbatch; encoders have
 * small letters with the component's own before them; dashes fill the cell and dots are bubbles.
 */
final class SchedulePicture {
  /** Columns of a picture before it is cut. */
  static final int WIDTH = 132;

  /** Columns of the longest cell where all of the step can be shown. */
  private static final int LONGEST = 24;

  /** Columns of the longest cell where it cannot, so that much of it is. */
  private static final int LONGEST_CUT = 6;

  private static final int SHORTEST = 4;

  private final RunPlan plan;
  private final int chunksOfSink;

  SchedulePicture(RunPlan plan) {
    this.plan = plan;
    this.chunksOfSink = plan.components().getLast().placement().division().chunks();
  }

  /** The rows, and a note where the picture is cut. */
  List<String> lines() {
    long shortest = Long.MAX_VALUE;
    long longest = 1;
    for (RunPlan.RankClass ranks : plan.classes()) {
      for (Span span : ranks.spans()) {
        shortest = Math.min(shortest, span.end() - span.start());
        longest = Math.max(longest, span.end() - span.start());
      }
    }
    long end = plan.timeline().end();
    double columns = Math.min((double) SHORTEST / shortest, (double) LONGEST / longest);
    if (end * columns > WIDTH) {
      columns = Math.max((double) WIDTH / end, (double) LONGEST_CUT / longest);
    }
    List<String> lines = new ArrayList<>();
    for (RunPlan.RankClass ranks : plan.classes()) {
      lines.add(row(ranks.spans(), columns));
    }
    long whole = Math.round(end * columns);
    if (whole > WIDTH) {
      lines.add(
          String.format(
              Locale.ROOT,
              "(cut: the first %.0f%% of the step; --json has all of it)",
              100.0 * WIDTH / whole));
    }
    return lines;
  }

  private String row(List<Span> spans, double columns) {
    long width = Math.min(WIDTH, Math.round(plan.timeline().end() * columns));
    StringBuilder row = new StringBuilder(".".repeat((int) width));
    for (Span span : spans) {
      int from = (int) Math.min(width, Math.round(span.start() * columns));
      int to = (int) Math.min(width, Math.round(span.end() * columns));
      String label = label(span.what());
      for (int column = from; column < to; column++) {
        int at = column - from;
        // The last column of a cell stays a dash, so that cells can be told apart.
        boolean inside = at < label.length() && (at == 0 || column < to - 1 || to - from == 2);
        row.setCharAt(column, inside ? label.charAt(at) : '-');
      }
    }
    return row.toString();
  }

  private String label(Compute what) {
    String kind =
        switch (what) {
          case Forward forward -> "F";
          case Backward backward -> "B";
          case WeightGradients weights -> "W";
        };
    boolean sink = what.component().equals(plan.graph().sink().name());
    String letter = sink ? kind : what.component().substring(0, 1) + kind.toLowerCase(Locale.ROOT);
    int pipeline = plan.graph().component(what.component()).stages().size();
    int chunk = sink && chunksOfSink > 1 ? what.stage() / (pipeline / chunksOfSink) : 0;
    return letter + what.microBatch() + "'".repeat(chunk);
  }
}
