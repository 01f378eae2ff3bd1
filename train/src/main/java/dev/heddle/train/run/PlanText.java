package dev.heddle.train.run;

import dev.heddle.parallel.component.BoundarySpec;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.parallel.redistribute.TransferPlan;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.RankSet;
import dev.heddle.train.run.MemoryForecast.RankMemory;
import dev.heddle.train.run.RunPlan.ComponentPlan;
import dev.heddle.train.run.RunPlan.PipelinePart;
import dev.heddle.train.run.RunPlan.RankClass;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/** A plan as text for people. */
final class PlanText {
  private static final int TRANSFERS_SHOWN = 16;
  private static final int RUNS_SHOWN = 3;

  private final RunPlan plan;
  private final StringBuilder text = new StringBuilder();

  private PlanText(RunPlan plan) {
    this.plan = plan;
  }

  static String of(RunPlan plan) {
    PlanText text = new PlanText(plan);
    text.components();
    text.boundaries();
    text.schedule();
    text.memory();
    text.launches();
    text.proof();
    return text.text.toString();
  }

  private void line(String format, Object... arguments) {
    text.append(String.format(Locale.ROOT, format, arguments).stripTrailing()).append('\n');
  }

  private void components() {
    line("components");
    for (ComponentPlan component : plan.components()) {
      line(
          "  %-10s %-40s %s parameters",
          component.component().name(),
          component.component().mesh(),
          millions(component.parameters()));
      line("  %-10s %s", "", division(component));
      List<String[]> rows = new ArrayList<>();
      for (PipelinePart part : component.pipeline()) {
        rows.add(
            new String[] {
              stages(part.blocks(), Map.Entry::getKey, "stage "),
              stages(part.blocks(), e -> blocks(e.getValue()), "blocks "),
              millions(part.parameters()) + " parameters a rank",
              part.ranks().toString().replaceFirst(".*on ", "")
            });
      }
      table(rows, "llrl", "             ");
    }
    line("");
  }

  private static String division(ComponentPlan component) {
    ParallelConfig.Placement placement = component.placement();
    ParallelConfig.Division division = placement.division();
    List<String> parts = new ArrayList<>();
    if (placement.cp() > 1) {
      parts.add("context by " + division.cpMethod().label());
    }
    if (placement.tp() > 1) {
      parts.add(division.sequenceParallel() ? "sequence over tp" : "no sequence over tp");
    }
    parts.add(division.shardOptimizer() ? "optimizer divided (ZeRO-1)" : "optimizer not divided");
    if (component.frozen()) {
      parts.add("FROZEN");
    }
    return String.join(", ", parts);
  }

  private static String stages(
      Map<Integer, Interval> blocks,
      Function<Map.Entry<Integer, Interval>, Object> what,
      String s) {
    return s + String.join(", ", blocks.entrySet().stream().map(e -> "" + what.apply(e)).toList());
  }

  private static String blocks(Interval blocks) {
    return blocks.size() == 1 ? "" + blocks.start() : blocks.start() + "-" + (blocks.end() - 1);
  }

  private void boundaries() {
    int bytes = DTypes.of(plan.config().dtype()).byteSize();
    line("boundaries, first microbatch");
    for (Map.Entry<String, BoundaryPlan> entry : plan.boundaries().entrySet()) {
      line("  %s", entry.getKey());
      entry
          .getValue()
          .table(bytes, TRANSFERS_SHOWN)
          .lines()
          .forEach(row -> line(row.isEmpty() ? "" : "    %s", row));
    }
    line("");
  }

  private void schedule() {
    line(
        "schedule of a step: %s, %d microbatches",
        plan.config().parallel().schedule().label(), plan.config().train().microBatches());
    List<String> pictures = new SchedulePicture(plan).lines();
    List<String[]> rows = new ArrayList<>();
    rows.add(new String[] {"ranks", "peak live microbatches", "time"});
    for (int i = 0; i < plan.classes().size(); i++) {
      RankClass ranks = plan.classes().get(i);
      List<String> live = new ArrayList<>();
      ranks.peakLive().forEach((component, count) -> live.add(component + " " + count));
      rows.add(new String[] {ranks(ranks.ranks()), String.join(", ", live), pictures.get(i)});
    }
    table(rows, "lll", "  ");
    pictures.stream().skip(plan.classes().size()).forEach(note -> line("  %s", note));
    line("  %s", key());
    long end = plan.timeline().end();
    line(
        "  bubbles      %.1f%% of all ranks' time (predicted)",
        100 * plan.timeline().bubbleShare());
    line("  step time    %s multiplications of one rank, waiting included (predicted)", large(end));
    plan.encodersFirst()
        .ifPresent(
            simple ->
                line(
                    "  encoders     in the lists of the ranks that they share; all their work first"
                        + " and last would take %s (%.2f times as long)",
                    large(simple), (double) simple / end));
    line("");
  }

  private String key() {
    List<String> letters = new ArrayList<>();
    for (ComponentPlan component : plan.components()) {
      String name = component.component().name();
      boolean sink = name.equals(plan.graph().sink().name());
      String first = name.substring(0, 1);
      letters.add(name + (sink ? " F B W" : " " + first + "f " + first + "b " + first + "w"));
    }
    return "forward, backward, weight gradients: "
        + String.join("; ", letters)
        + "; then the microbatch; . is a bubble";
  }

  private void memory() {
    line(
        "memory, PREDICTED: the most that is alive at a time on the first rank of each row, in MiB");
    List<String[]> rows = new ArrayList<>();
    rows.add(
        new String[] {
          "ranks",
          "parameters",
          "gradients",
          "optimizer",
          "activations",
          "buffers",
          "working",
          "peak"
        });
    for (RankClass ranks : plan.classes()) {
      RankMemory memory = ranks.memory();
      rows.add(
          new String[] {
            ranks(ranks.ranks()),
            mebibytes(memory.parameters()),
            mebibytes(memory.gradients()),
            mebibytes(memory.optimizer()),
            mebibytes(memory.activations()),
            mebibytes(memory.buffers()),
            mebibytes(memory.working()),
            mebibytes(memory.peak())
          });
    }
    table(rows, "lrrrrrrr", "  ");
    line("");
  }

  private void launches() {
    if (plan.steps().isEmpty()) {
      return;
    }
    line("launches of a step, COUNTED on a GPU on paper: the first rank of each row, bytes in MiB");
    List<String[]> rows = new ArrayList<>();
    rows.add(
        new String[] {
          "ranks",
          "kernels",
          "products",
          "waits",
          "allocations",
          "read",
          "written",
          "least",
          "of the least"
        });
    for (RankClass ranks : plan.classes()) {
      RankStep step = Objects.requireNonNull(plan.steps().get(ranks.first()));
      rows.add(
          new String[] {
            ranks(ranks.ranks()),
            "" + step.counters().device().launches(),
            "" + step.counters().products(),
            "" + step.counters().device().hostSynchronizations(),
            "" + step.counters().device().deviceAllocations(),
            mebibytes(step.moved().bytesRead()),
            mebibytes(step.moved().bytesWritten()),
            mebibytes(step.least().total()),
            String.format(Locale.ROOT, "%.2f", step.ofTheLeast())
          });
    }
    table(rows, "lrrrrrrrr", "  ");
    line("");
  }

  private void proof() {
    line("proof");
    plan.boundaries()
        .forEach(
            (name, crossing) -> {
              BoundarySpec spec = plan.graph().boundary(name);
              TransferPlan forward = crossing.forward();
              line(
                  "  %s: %s verified element by element: %d rows x %d features, each read where it"
                      + " lies and written once%s%s",
                  name,
                  crossing.backward().isPresent() ? "forward and backward" : "forward",
                  forward.counts().rowCount(),
                  spec.features(),
                  forward.strategy() == Strategy.DIRECT ? ", nothing sent to who holds it" : "",
                  crossing.backward().isPresent() ? "" : "; nothing goes back");
            });
    line(
        "  schedule: %d instructions of %d ranks in %d lists: every message is sent and taken, in"
            + " one order at both ends; it ends when every message is a rendezvous",
        plan.instructionCount(), plan.timeline().schedule().ranks().size(), plan.listCount());
  }

  private void table(List<String[]> rows, String sides, String indent) {
    int[] widths = new int[sides.length()];
    for (String[] row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row[i].length());
      }
    }
    for (String[] row : rows) {
      StringBuilder cells = new StringBuilder(indent);
      for (int i = 0; i < widths.length; i++) {
        String pad = " ".repeat(widths[i] - row[i].length());
        cells.append(i == 0 ? "" : "  ");
        cells.append(sides.charAt(i) == 'r' ? pad + row[i] : row[i] + pad);
      }
      line("%s", cells);
    }
  }

  /** Ranks as a configuration writes them, some left out where they are many. */
  static String ranks(List<Integer> ranks) {
    String written = new RankSet(ranks).toString();
    String[] runs = Objects.requireNonNull(written).split(",", -1);
    return runs.length <= RUNS_SHOWN + 1
        ? written
        : "%s,..,%s (%d)"
            .formatted(
                String.join(",", List.of(runs).subList(0, RUNS_SHOWN - 1)),
                runs[runs.length - 1],
                ranks.size());
  }

  private static String millions(long count) {
    return String.format(Locale.ROOT, "%.2f M", count * 1e-6);
  }

  private static String mebibytes(long bytes) {
    return String.format(Locale.ROOT, "%.2f", bytes / (double) (1 << 20));
  }

  private static String large(long count) {
    return String.format(Locale.ROOT, "%.3e", (double) count);
  }
}
