package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * Runs a plan on sets instead of numbers. What is complete in each buffer is tracked as intervals
 * of rows for each column of features, where a column is a stretch of features within which no
 * buffer and no transfer begins or ends; so the proof costs intervals, not elements.
 */
final class PlanVerifier {
  private final TransferPlan plan;
  private final List<Interval> columns;
  private final Map<Cell, Intervals> complete = new HashMap<>();

  /** The rows of one column of one buffer of one rank. */
  private record Cell(int rank, PlanBuffer buffer, Interval features) {}

  /**
   * What one phase brings to a cell: rows from each summand, and the rows not added but written.
   */
  private static final class Arrivals {
    final Map<Integer, List<Interval>> rowsOfSummand = new HashMap<>();
    final List<Interval> written = new ArrayList<>();
  }

  PlanVerifier(TransferPlan plan) {
    this.plan = plan;
    columns = columns();
  }

  void verify() {
    for (Phase phase : plan.phases()) {
      run(phase);
    }
    for (Holding need : plan.buffer(PlanBuffer.OUTPUT).all()) {
      for (Interval column : columnsIn(need.features())) {
        Intervals missing = need.runs().rows().subtract(completeIn(need.rank(), column));
        if (!missing.isEmpty()) {
          throw violated(need.rank(), missing.start(0), column, "is never written");
        }
      }
    }
    checkVolume();
  }

  /** With each element proved to come once, a direct plan that moves a number more is wasteful. */
  private void checkVolume() {
    if (plan.strategy() != Strategy.DIRECT || plan.buffer(PlanBuffer.INPUT).summandCount() > 1) {
      return;
    }
    Traffic traffic = plan.traffic();
    for (int rank : plan.buffer(PlanBuffer.OUTPUT).ranks()) {
      if (traffic.received(rank) != plan.lowerBound(rank)) {
        throw new IllegalStateException(
            where()
                + "rank "
                + rank
                + " receives "
                + traffic.received(rank)
                + " elements, wanted the lower bound of "
                + plan.lowerBound(rank));
      }
    }
  }

  private Intervals completeIn(int rank, Interval column) {
    return complete.getOrDefault(new Cell(rank, PlanBuffer.OUTPUT, column), Intervals.EMPTY);
  }

  private void run(Phase phase) {
    if (phase.writes() == PlanBuffer.INPUT) {
      throw new IllegalStateException(where() + "phase " + phase.name() + " writes the input");
    }
    Holdings readable = plan.buffer(phase.reads());
    Holdings writable = plan.buffer(phase.writes());
    // Linked, so that the violation named first is the same one in every run.
    Map<Cell, Arrivals> arrivals = new LinkedHashMap<>();
    for (Transfer transfer : phase.transfers()) {
      Holding source = endpoint(readable, transfer.from(), transfer, "sent from");
      Holding target = endpoint(writable, transfer.to(), transfer, "sent to");
      checkPlaces(transfer, source, target);
      for (Interval column : columnsIn(transfer.features())) {
        checkReadable(phase, transfer, column);
        checkUseful(phase, transfer, source, column);
        Arrivals cell =
            arrivals.computeIfAbsent(
                new Cell(transfer.to(), phase.writes(), column), unused -> new Arrivals());
        List<Interval> rows =
            cell.rowsOfSummand.computeIfAbsent(source.summand(), unused -> new ArrayList<>());
        for (RowPiece piece : transfer.pieces()) {
          Interval interval = new Interval(piece.start(), piece.end());
          rows.add(interval);
          if (!transfer.accumulate()) {
            cell.written.add(interval);
          }
        }
      }
    }
    arrivals.forEach((cell, arrived) -> settle(cell, arrived, readable.summandCount()));
  }

  private Holding endpoint(Holdings side, int rank, Transfer transfer, String how) {
    Holding holding = side.find(rank);
    if (holding == null) {
      throw violated(
          rank,
          firstRow(transfer),
          transfer.features(),
          "is " + how + " a rank without that buffer");
    }
    return holding;
  }

  private void checkPlaces(Transfer transfer, Holding source, Holding target) {
    for (RowPiece piece : transfer.pieces()) {
      checkPlace(transfer, piece, source, piece.sourcePlace(), transfer.sourceColumn(), "read");
      checkPlace(transfer, piece, target, piece.targetPlace(), transfer.targetColumn(), "written");
    }
  }

  private void checkPlace(
      Transfer transfer, RowPiece piece, Holding holding, long place, long column, String how) {
    int rank = holding.rank();
    int run = holding.runs().runOf(piece.start());
    if (run < 0 || piece.rows() <= 0) {
      throw violated(rank, piece.start(), transfer.features(), "is " + how + " but not held there");
    }
    if (piece.end() > holding.runs().end(run)) {
      throw violated(
          rank,
          holding.runs().end(run),
          transfer.features(),
          "is " + how + " but not held in one run with row " + piece.start());
    }
    long wanted = holding.runs().placeOf(piece.start());
    if (place != wanted) {
      throw violated(
          rank,
          piece.start(),
          transfer.features(),
          "is " + how + " at place " + place + " but lies at place " + wanted);
    }
    if (!holding.features().containsAll(transfer.features())
        || column != transfer.features().start() - holding.features().start()) {
      throw violated(
          rank,
          piece.start(),
          transfer.features(),
          "is " + how + " at column " + column + " of a buffer of features " + holding.features());
    }
  }

  /** A buffer that the plan fills must be complete where it is read; the input always is. */
  private void checkReadable(Phase phase, Transfer transfer, Interval column) {
    if (phase.reads() == PlanBuffer.INPUT) {
      return;
    }
    Intervals ready =
        complete.getOrDefault(new Cell(transfer.from(), phase.reads(), column), Intervals.EMPTY);
    for (RowPiece piece : transfer.pieces()) {
      Intervals missing = Intervals.of(piece.start(), piece.end()).subtract(ready);
      if (!missing.isEmpty()) {
        throw violated(
            transfer.from(),
            missing.start(0),
            column,
            "is read from " + phase.reads() + " in phase " + phase.name() + " before it is there");
      }
    }
  }

  /** Direct plans send no rank what its own input would have given it. */
  private void checkUseful(Phase phase, Transfer transfer, Holding source, Interval column) {
    if (plan.strategy() != Strategy.DIRECT
        || transfer.isLocal()
        || phase.reads() != PlanBuffer.INPUT) {
      return;
    }
    Holding own = plan.buffer(PlanBuffer.INPUT).find(transfer.to());
    if (own == null || own.summand() != source.summand() || !own.features().containsAll(column)) {
      return;
    }
    for (RowPiece piece : transfer.pieces()) {
      Intervals held = own.runs().rows().intersect(Intervals.of(piece.start(), piece.end()));
      if (!held.isEmpty()) {
        throw violated(
            transfer.to(),
            held.start(0),
            column,
            "is sent by rank " + transfer.from() + " though the receiver holds it");
      }
    }
  }

  private void settle(Cell cell, Arrivals arrived, int summandCount) {
    Intervals written = once(cell, arrived.written, "is written twice");
    for (int summand = 0; summand < summandCount; summand++) {
      List<Interval> rows = arrived.rowsOfSummand.getOrDefault(summand, List.of());
      String which = summandCount == 1 ? "" : " of summand " + summand;
      Intervals ofSummand = once(cell, rows, "is sent twice" + which);
      Intervals missing = written.subtract(ofSummand);
      if (!missing.isEmpty()) {
        throw violated(cell.rank, missing.start(0), cell.features, "lacks summand " + summand);
      }
      Intervals unwritten = ofSummand.subtract(written);
      if (!unwritten.isEmpty()) {
        throw violated(
            cell.rank, unwritten.start(0), cell.features, "is added to what was never written");
      }
    }
    Intervals before = complete.getOrDefault(cell, Intervals.EMPTY);
    Intervals again = before.intersect(written);
    if (!again.isEmpty()) {
      throw violated(cell.rank, again.start(0), cell.features, "is written again in a later phase");
    }
    complete.put(cell, before.union(written));
  }

  /** The union of intervals that must not overlap. */
  private Intervals once(Cell cell, List<Interval> rows, String otherwise) {
    List<Interval> sorted = new ArrayList<>(rows);
    sorted.sort(Comparator.comparingLong(Interval::start));
    Intervals.Builder builder = new Intervals.Builder();
    long end = Long.MIN_VALUE;
    for (Interval interval : sorted) {
      if (interval.start() < end) {
        throw violated(cell.rank, interval.start(), cell.features, otherwise);
      }
      end = interval.end();
      builder.add(interval.start(), interval.end());
    }
    return builder.build();
  }

  private List<Interval> columns() {
    TreeSet<Long> cuts = new TreeSet<>();
    for (Holdings holdings : plan.buffers().values()) {
      for (Holding holding : holdings.all()) {
        cuts.add(holding.features().start());
        cuts.add(holding.features().end());
      }
    }
    for (Phase phase : plan.phases()) {
      for (Transfer transfer : phase.transfers()) {
        cuts.add(transfer.features().start());
        cuts.add(transfer.features().end());
      }
    }
    List<Interval> found = new ArrayList<>();
    long start = cuts.isEmpty() ? 0 : cuts.first();
    for (long cut : cuts) {
      if (cut > start) {
        found.add(new Interval(start, cut));
        start = cut;
      }
    }
    return found;
  }

  private List<Interval> columnsIn(Interval features) {
    return columns.stream().filter(features::containsAll).toList();
  }

  private static long firstRow(Transfer transfer) {
    return transfer.pieces().isEmpty() ? 0 : transfer.pieces().getFirst().start();
  }

  private String where() {
    return "boundary plan (" + plan.direction() + ", " + plan.strategy().label() + "): ";
  }

  private IllegalStateException violated(int rank, long row, Interval features, String what) {
    return new IllegalStateException(
        where()
            + "rank "
            + rank
            + " row "
            + row
            + " ("
            + plan.counts().describe(row)
            + ") features "
            + features
            + " "
            + what);
  }
}
