package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.RowCounts;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * One direction of a boundary as data: the buffers of each rank and the transfers between them.
 *
 * <p>Volumes are in elements; multiply by the bytes of the data type. Transfers of a rank to itself
 * are in the plan, since somebody has to copy, but cost no link.
 *
 * @param direction {@code forward} or {@code backward}, for tables and messages
 * @param strategy how the rows move
 * @param counts the rows, for messages
 * @param buffers for each buffer the ranks that have one and what lies where in it; INPUT and
 *     OUTPUT always, the others where the plan uses them
 * @param phases what is done, one phase after the other
 */
public record TransferPlan(
    String direction,
    Strategy strategy,
    RowCounts counts,
    Map<PlanBuffer, Holdings> buffers,
    List<Phase> phases) {
  /** Takes copies. */
  public TransferPlan {
    buffers = Collections.unmodifiableMap(new EnumMap<>(buffers));
    phases = List.copyOf(phases);
  }

  /** What one rank does in one phase. */
  public record RankPhase(
      Phase phase, List<Transfer> copies, List<Transfer> sends, List<Transfer> receives) {}

  /** The part of a rank: for each phase its copies, sends and receives in the plan's order. */
  public List<RankPhase> forRank(int rank) {
    List<RankPhase> parts = new ArrayList<>();
    for (Phase phase : phases) {
      List<Transfer> copies = new ArrayList<>();
      List<Transfer> sends = new ArrayList<>();
      List<Transfer> receives = new ArrayList<>();
      for (Transfer transfer : phase.transfers()) {
        if (transfer.from() == rank && transfer.to() == rank) {
          copies.add(transfer);
        } else if (transfer.from() == rank) {
          sends.add(transfer);
        } else if (transfer.to() == rank) {
          receives.add(transfer);
        }
      }
      parts.add(new RankPhase(phase, copies, sends, receives));
    }
    return parts;
  }

  /** What lies where in a buffer, on the ranks that have one. */
  public Holdings buffer(PlanBuffer buffer) {
    Holdings holdings = buffers.get(buffer);
    if (holdings == null) {
      throw new IllegalArgumentException(
          "boundary plan: no rank has a buffer "
              + buffer
              + " under strategy "
              + strategy.label()
              + "; the buffers are "
              + buffers.keySet());
    }
    return holdings;
  }

  /** Volumes for each rank and each link, in elements. */
  public Traffic traffic() {
    return Traffic.of(this);
  }

  /** Whether no transfer crosses a link. */
  public boolean isLocal() {
    return phases.stream().flatMap(phase -> phase.transfers().stream()).allMatch(Transfer::isLocal);
  }

  /**
   * Whether each rank's output equals its input place by place, so that an executor may hand the
   * input on without copying it.
   */
  public boolean isIdentity() {
    Holdings input = buffer(PlanBuffer.INPUT);
    Holdings output = buffer(PlanBuffer.OUTPUT);
    if (!isLocal() || input.summandCount() > 1) {
      return false;
    }
    for (Holding after : output.all()) {
      Holding before = input.find(after.rank());
      if (before == null
          ? after.elements() > 0
          : !before.runs().equals(after.runs())
              || !before.features().equals(after.features())
              || before.bufferRows() != after.bufferRows()) {
        return false;
      }
    }
    return true;
  }

  /**
   * The fewest elements that a rank must receive in any plan: those that it needs and cannot make
   * out of its own input. Where the value is a sum of several ranks' summands no rank can make it
   * alone, and at least one element must arrive for each.
   */
  public long lowerBound(int rank) {
    Holding need = buffer(PlanBuffer.OUTPUT).find(rank);
    if (need == null) {
      return 0;
    }
    Holdings input = buffer(PlanBuffer.INPUT);
    Holding own = input.find(rank);
    if (own == null || input.summandCount() > 1) {
      return need.elements();
    }
    Interval features = own.features().intersect(need.features());
    long held = own.runs().rows().intersect(need.runs().rows()).size();
    return need.elements() - held * features.size();
  }

  /** The sum of {@link #lowerBound(int)} over all ranks. */
  public long lowerBound() {
    return buffer(PlanBuffer.OUTPUT).ranks().stream().mapToLong(this::lowerBound).sum();
  }

  /**
   * Proves the plan: each transfer reads what the sender has at that moment from where it lies and
   * writes where it belongs; every element of every rank's output is written once (once for each
   * summand, the first one writing, the others adding); and under {@link Strategy#DIRECT} no rank
   * is sent anything that it holds.
   *
   * @throws IllegalStateException naming the first element that is violated
   */
  public void verify() {
    new PlanVerifier(this).verify();
  }

  /**
   * The plan as an aligned table with totals for each rank.
   *
   * @param bytesPerElement the size of one number, for the bytes columns
   * @param maximumTransfers how many transfers to list; totals always count all
   */
  public String table(int bytesPerElement, int maximumTransfers) {
    return PlanTable.of(this, bytesPerElement, maximumTransfers);
  }
}
