package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holdings;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import java.util.TreeSet;

/** Prints a plan as aligned text. */
final class PlanTable {
  private static final int MAXIMUM_PIECES = 4;

  private PlanTable() {}

  static String of(TransferPlan plan, int bytesPerElement, int maximumTransfers) {
    Holdings output = plan.buffer(PlanBuffer.OUTPUT);
    StringBuilder text = new StringBuilder();
    text.append(plan.direction())
        .append(", ")
        .append(plan.strategy().label())
        .append(": ")
        .append(output.rowCount())
        .append(" rows x ")
        .append(output.featureCount())
        .append(" features of ")
        .append(bytesPerElement)
        .append(" bytes\n");
    text.append(transfers(plan, bytesPerElement, maximumTransfers)).append('\n');
    text.append(ranks(plan, bytesPerElement, maximumTransfers));
    return text.toString();
  }

  private static String transfers(TransferPlan plan, int bytesPerElement, int maximum) {
    List<String[]> lines = new ArrayList<>();
    lines.add(new String[] {"phase", "from", "to", "features", "bytes", "does", "rows"});
    long left = 0;
    for (Phase phase : plan.phases()) {
      for (Transfer transfer : phase.transfers()) {
        if (lines.size() > maximum) {
          left++;
          continue;
        }
        String does = transfer.isLocal() ? "copies" : "sends";
        lines.add(
            new String[] {
              phase.name(),
              "" + transfer.from(),
              "" + transfer.to(),
              transfer.features().toString(),
              "" + transfer.elements() * bytesPerElement,
              transfer.accumulate() ? does + ", adds" : does,
              rows(transfer.pieces())
            });
      }
    }
    String rest = left == 0 ? "" : "... and " + left + " more transfers\n";
    return aligned(lines, "lrrlrll") + rest;
  }

  /** Global rows with the places they come from and go to, for example {@code [4,8) 0>4}. */
  private static String rows(List<RowPiece> pieces) {
    StringJoiner joiner = new StringJoiner("  ");
    for (RowPiece piece : pieces.subList(0, Math.min(MAXIMUM_PIECES, pieces.size()))) {
      joiner.add(
          "["
              + piece.start()
              + ","
              + piece.end()
              + ") "
              + piece.sourcePlace()
              + ">"
              + piece.targetPlace());
    }
    if (pieces.size() > MAXIMUM_PIECES) {
      joiner.add("and " + (pieces.size() - MAXIMUM_PIECES) + " more");
    }
    return joiner.toString();
  }

  private static String ranks(TransferPlan plan, int bytesPerElement, int maximum) {
    TreeSet<Integer> ranks = new TreeSet<>(plan.buffer(PlanBuffer.INPUT).ranks());
    ranks.addAll(plan.buffer(PlanBuffer.OUTPUT).ranks());
    Traffic traffic = plan.traffic();
    List<String[]> lines = new ArrayList<>();
    lines.add(new String[] {"rank", "sends", "receives", "lower bound", "copies"});
    long copies = 0;
    for (int rank : ranks) {
      copies += traffic.copied(rank);
      if (lines.size() <= maximum) {
        lines.add(
            line(
                "" + rank,
                bytesPerElement,
                traffic.sent(rank),
                traffic.received(rank),
                plan.lowerBound(rank),
                traffic.copied(rank)));
      }
    }
    lines.add(
        line("all", bytesPerElement, traffic.total(), traffic.total(), plan.lowerBound(), copies));
    return aligned(lines, "rrrrr");
  }

  private static String[] line(String rank, int bytesPerElement, long... elements) {
    String[] cells = new String[elements.length + 1];
    cells[0] = rank;
    for (int i = 0; i < elements.length; i++) {
      cells[i + 1] = "" + elements[i] * bytesPerElement;
    }
    return cells;
  }

  private static String aligned(List<String[]> lines, String sides) {
    int[] widths = new int[sides.length()];
    for (String[] line : lines) {
      for (int column = 0; column < widths.length; column++) {
        widths[column] = Math.max(widths[column], line[column].length());
      }
    }
    StringBuilder text = new StringBuilder();
    for (String[] line : lines) {
      StringBuilder row = new StringBuilder();
      for (int column = 0; column < widths.length; column++) {
        String pad = " ".repeat(widths[column] - line[column].length());
        row.append(column == 0 ? "" : "  ");
        row.append(sides.charAt(column) == 'r' ? pad + line[column] : line[column] + pad);
      }
      text.append(row.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }
}
