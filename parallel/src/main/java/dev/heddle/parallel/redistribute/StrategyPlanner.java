package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowRuns;
import dev.heddle.parallel.layout.Split;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Builds each strategy's phases out of exchanges. */
final class StrategyPlanner {
  private final Holdings source;
  private final Holdings target;
  private final Hosts hosts;
  private final EnumMap<PlanBuffer, Holdings> buffers = new EnumMap<>(PlanBuffer.class);
  private final List<Phase> phases = new ArrayList<>();

  StrategyPlanner(Holdings source, Holdings target, Hosts hosts) {
    this.source = source;
    this.target = target;
    this.hosts = hosts;
    buffers.put(PlanBuffer.INPUT, source);
    buffers.put(PlanBuffer.OUTPUT, target);
  }

  TransferPlan plan(String direction, Strategy strategy, RowCounts counts) {
    switch (strategy) {
      case DIRECT -> direct();
      case SCATTER_GATHER -> scatterGather();
      case LEADER -> leader();
    }
    return new TransferPlan(direction, strategy, counts, buffers, phases);
  }

  private void direct() {
    add(exchange("exchange", PlanBuffer.INPUT, PlanBuffer.OUTPUT).add(source.all(), target.all()));
  }

  /**
   * Replicas on one host divide what none of them holds. Features are treated column by column of
   * the source, so that within a column a rank holds all features of a row or none.
   */
  private void scatterGather() {
    ExchangePlanner scatter = exchange("scatter", PlanBuffer.INPUT, PlanBuffer.OUTPUT);
    ExchangePlanner gather = exchange("gather", PlanBuffer.OUTPUT, PlanBuffer.OUTPUT);
    for (Interval column : sourceColumns()) {
      List<Holding> first = new ArrayList<>();
      List<Holding> second = new ArrayList<>();
      for (List<Holding> replicas : replicasByHost(column)) {
        List<Intervals> parts = partsOf(replicas);
        for (int i = 0; i < replicas.size(); i++) {
          Holding replica = replicas.get(i);
          first.add(replica.restrictTo(parts.get(i)));
          second.add(replica.restrictTo(replica.runs().rows().subtract(parts.get(i))));
        }
      }
      scatter.add(
          source.all().stream()
              .filter(holding -> !holding.features().intersect(column).isEmpty())
              .toList(),
          first);
      gather.add(first, second);
    }
    add(scatter);
    add(gather);
  }

  private List<Interval> sourceColumns() {
    TreeSet<Long> cuts = new TreeSet<>();
    cuts.add(0L);
    cuts.add(source.featureCount());
    for (Holding holding : source.all()) {
      if (holding.elements() > 0) {
        cuts.add(holding.features().start());
        cuts.add(holding.features().end());
      }
    }
    List<Interval> columns = new ArrayList<>();
    long start = cuts.removeFirst();
    for (long end : cuts) {
      columns.add(new Interval(start, end));
      start = end;
    }
    return columns;
  }

  private record ReplicaKey(RowRuns runs, Interval features, int host) {}

  private Iterable<List<Holding>> replicasByHost(Interval column) {
    Map<ReplicaKey, List<Holding>> replicas = new LinkedHashMap<>();
    for (Holding holding : target.all()) {
      Interval features = holding.features().intersect(column);
      if (!features.isEmpty()) {
        Holding narrowed =
            new Holding(
                holding.rank(), holding.runs(), features, 0, holding.lane(), holding.bufferRows());
        replicas
            .computeIfAbsent(
                new ReplicaKey(holding.runs(), features, hosts.hostOf(holding.rank())),
                unused -> new ArrayList<>())
            .add(narrowed);
      }
    }
    return replicas.values();
  }

  /** Which rows each replica gets first: those it holds, and an even share of what nobody holds. */
  private List<Intervals> partsOf(List<Holding> replicas) {
    Intervals rest = replicas.getFirst().runs().rows();
    List<Intervals> held = new ArrayList<>();
    for (Holding replica : replicas) {
      Holding own = source.find(replica.rank());
      // A single summand of several is not the value: sums are divided evenly over all replicas.
      boolean useful =
          source.summandCount() == 1
              && own != null
              && own.features().containsAll(replica.features());
      held.add(
          useful && own != null
              ? replica.runs().rows().intersect(own.runs().rows())
              : Intervals.EMPTY);
      rest = rest.subtract(held.getLast());
    }
    List<Intervals> parts = new ArrayList<>();
    for (int i = 0; i < replicas.size(); i++) {
      Interval share = Split.part(rest.size(), replicas.size(), i);
      parts.add(held.get(i).union(rest.slice(share.start(), share.end())));
    }
    return parts;
  }

  private void leader() {
    List<Holding> sourceLeaders = new ArrayList<>();
    boolean complete = source.summandCount() == 1;
    for (List<Holding> lane : lanes(source)) {
      Holding leader = inBuffer(lane.getFirst(), wholeLane(lane));
      complete &= holdsAll(lane.getFirst(), leader);
      sourceLeaders.add(leader);
    }
    PlanBuffer gathered = PlanBuffer.INPUT;
    if (complete) {
      // Each leader already holds its lane: nothing to gather, send from where it lies.
      sourceLeaders.replaceAll(leader -> source.of(leader.rank()));
    } else {
      gathered = PlanBuffer.GATHERED;
      buffers.put(gathered, holdings(sourceLeaders));
      add(exchange("gather", PlanBuffer.INPUT, gathered).add(source.all(), sourceLeaders));
    }

    List<Holding> members = new ArrayList<>();
    List<Holding> leaders = new ArrayList<>();
    List<Holding> others = new ArrayList<>();
    boolean whole = true;
    for (List<Holding> lane : lanes(target)) {
      WholeLane all = wholeLane(lane);
      List<Holding> inLane = lane.stream().map(member -> inBuffer(member, all)).toList();
      for (int i = 0; i < lane.size(); i++) {
        whole &= holdsAll(lane.get(i), inLane.get(i));
      }
      members.addAll(inLane);
      leaders.add(inLane.getFirst());
      others.addAll(inLane.subList(1, inLane.size()));
    }
    PlanBuffer lane = PlanBuffer.OUTPUT;
    if (whole) {
      // Every rank wants its whole lane: broadcast straight into the output.
      leaders.replaceAll(member -> target.of(member.rank()));
      others.replaceAll(member -> target.of(member.rank()));
    } else {
      lane = PlanBuffer.LANE;
      buffers.put(lane, holdings(members));
    }
    add(exchange("send", gathered, lane).add(sourceLeaders, leaders));
    add(exchange("broadcast", lane, lane).add(leaders, others));
    if (!whole) {
      ExchangePlanner take = exchange("take", lane, PlanBuffer.OUTPUT);
      members.forEach(member -> take.add(List.of(member), List.of(target.of(member.rank()))));
      add(take);
    }
  }

  private static Iterable<List<Holding>> lanes(Holdings side) {
    Map<Integer, List<Holding>> lanes = new LinkedHashMap<>();
    for (Holding holding : side.all()) {
      lanes.computeIfAbsent(holding.lane(), unused -> new ArrayList<>()).add(holding);
    }
    return lanes.values();
  }

  private record WholeLane(RowRuns runs, Interval features) {}

  /** All rows and features of a lane, rows ascending. */
  private static WholeLane wholeLane(List<Holding> lane) {
    Set<RowRuns> distinct = new LinkedHashSet<>();
    long start = Long.MAX_VALUE;
    long end = 0;
    for (Holding holding : lane) {
      distinct.add(holding.runs());
      start = Math.min(start, holding.features().start());
      end = Math.max(end, holding.features().end());
    }
    Intervals rows = Intervals.EMPTY;
    for (RowRuns runs : distinct) {
      rows = rows.union(runs.rows());
    }
    return new WholeLane(RowRuns.packed(rows), new Interval(Math.min(start, end), end));
  }

  private static Holding inBuffer(Holding member, WholeLane lane) {
    return new Holding(member.rank(), lane.runs, lane.features, 0, member.lane(), lane.runs.size());
  }

  private static boolean holdsAll(Holding holding, Holding wanted) {
    return holding.features().containsAll(wanted.features())
        && holding.runs().rows().containsAll(wanted.runs().rows());
  }

  private Holdings holdings(List<Holding> holdings) {
    return new Holdings(holdings, source.rowCount(), source.featureCount());
  }

  private ExchangePlanner exchange(String name, PlanBuffer reads, PlanBuffer writes) {
    return new ExchangePlanner(name, reads, buffer(reads), writes, buffer(writes), hosts);
  }

  private Holdings buffer(PlanBuffer buffer) {
    Holdings holdings = buffers.get(buffer);
    if (holdings == null) {
      throw new IllegalStateException(
          "boundary: buffer " + buffer + " is used before it is laid out");
    }
    return holdings;
  }

  private void add(ExchangePlanner exchange) {
    Phase phase = exchange.finish();
    if (!phase.transfers().isEmpty()) {
      phases.add(phase);
    }
  }
}
