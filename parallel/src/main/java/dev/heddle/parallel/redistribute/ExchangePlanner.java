package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Holdings;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.RowRuns;
import dev.heddle.parallel.redistribute.SourceIndex.Column;
import dev.heddle.parallel.redistribute.SourceIndex.Pool;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Plans one phase: every needed element is fetched once from each summand, from the receiver itself
 * where it holds it, else from a holder on its host, else from any holder.
 *
 * <p>Among several holders the work is spread evenly: the demands on a pool of n holders are lined
 * up in the order of the receivers and cut into as many equal parts as there are senders (at most
 * one sender a demand, so that few demands are not shredded), which costs at most n - 1 more
 * messages than receivers. The result depends on nothing but the arguments, so every rank computes
 * the same plan.
 */
final class ExchangePlanner {
  private final String name;
  private final PlanBuffer reads;
  private final Holdings source;
  private final PlanBuffer writes;
  private final Holdings target;
  private final Hosts hosts;
  private final Map<Integer, Long> load = new HashMap<>();
  private final Map<MessageKey, List<RowPiece>> messages = new HashMap<>();

  /** Elements of one pool that a receiver needs. */
  private record Demand(int to, Pool pool, int summand, Interval features, RowRanges rows) {
    long elements() {
      return rows.rows * features.size();
    }
  }

  private record DemandKey(Pool pool, int summand, Interval features) {}

  private record MessageKey(int from, int to, int summand, Interval features) {}

  private record NeedKey(RowRuns runs, Interval features) {}

  /** Row intervals within single runs of both sides; shared by the replicas that need them. */
  private static final class RowRanges {
    final List<Interval> ranges = new ArrayList<>();
    long rows;

    void add(long start, long end) {
      ranges.add(new Interval(start, end));
      rows += end - start;
    }
  }

  ExchangePlanner(
      String name,
      PlanBuffer reads,
      Holdings source,
      PlanBuffer writes,
      Holdings target,
      Hosts hosts) {
    this.name = name;
    this.reads = reads;
    this.source = source;
    this.writes = writes;
    this.target = target;
    this.hosts = hosts;
  }

  /** Plans to bring what is needed from where it is available; both are parts of the buffers. */
  ExchangePlanner add(Collection<Holding> available, Collection<Holding> needed) {
    SourceIndex index = new SourceIndex(available, source.summandCount(), hosts);
    Map<NeedKey, Map<DemandKey, RowRanges>> known = new HashMap<>();
    Map<Pool, List<Demand>> demands = new LinkedHashMap<>();
    for (Holding need : needed) {
      if (need.elements() == 0) {
        continue;
      }
      Map<DemandKey, RowRanges> parts =
          known.computeIfAbsent(
              new NeedKey(need.runs(), need.features()), unused -> lookUp(index, need));
      parts.forEach(
          (key, rows) -> {
            Demand demand = new Demand(need.rank(), key.pool, key.summand, key.features, rows);
            if (key.pool.contains(need.rank())) {
              demand.rows.ranges.forEach(range -> send(need.rank(), demand, range));
            } else {
              demands.computeIfAbsent(key.pool, unused -> new ArrayList<>()).add(demand);
            }
          });
    }
    demands.forEach(this::chooseSenders);
    return this;
  }

  /** The phase. */
  Phase finish() {
    Map<Integer, Integer> order = HashMap.newHashMap(target.all().size());
    target.ranks().forEach(rank -> order.put(rank, order.size()));
    List<Map.Entry<MessageKey, List<RowPiece>>> sorted = new ArrayList<>(messages.entrySet());
    sorted.sort(
        Map.Entry.comparingByKey(
            Comparator.<MessageKey>comparingInt(key -> order.getOrDefault(key.to, 0))
                .thenComparingInt(MessageKey::summand)
                .thenComparingInt(MessageKey::from)
                .thenComparingLong(key -> key.features.start())
                .thenComparingLong(key -> key.features.end())));
    List<Transfer> transfers = new ArrayList<>(sorted.size());
    for (Map.Entry<MessageKey, List<RowPiece>> entry : sorted) {
      MessageKey key = entry.getKey();
      transfers.add(
          new Transfer(
              key.from,
              key.to,
              key.features,
              key.features.start() - source.of(key.from).features().start(),
              key.features.start() - target.of(key.to).features().start(),
              key.summand > 0,
              join(entry.getValue())));
    }
    return new Phase(name, reads, writes, transfers);
  }

  private Map<DemandKey, RowRanges> lookUp(SourceIndex index, Holding need) {
    Map<DemandKey, RowRanges> parts = new LinkedHashMap<>();
    RowRuns runs = need.runs();
    for (int run = 0; run < runs.count(); run++) {
      long row = runs.start(run);
      int segment = index.firstEndingAfter(row);
      while (row < runs.end(run)) {
        if (segment == index.segmentCount() || index.start(segment) > row) {
          throw notHeld(need, row);
        }
        long end = Math.min(runs.end(run), index.end(segment));
        long found = 0;
        for (Column column : index.columns(segment)) {
          Interval features = column.features().intersect(need.features());
          if (!features.isEmpty()) {
            found += features.size();
            for (int summand = 0; summand < column.poolOfSummand().size(); summand++) {
              Pool pool = column.poolOfSummand().get(summand);
              parts
                  .computeIfAbsent(
                      new DemandKey(pool, summand, features), unused -> new RowRanges())
                  .add(row, end);
            }
          }
        }
        if (found < need.features().size()) {
          throw notHeld(need, row);
        }
        row = end;
        segment++;
      }
    }
    return parts;
  }

  private IllegalArgumentException notHeld(Holding need, long row) {
    return new IllegalArgumentException(
        "boundary: rank "
            + need.rank()
            + " needs features "
            + need.features()
            + " of row "
            + row
            + ", which the source ranks do not hold completely; check the source layout");
  }

  private void chooseSenders(Pool pool, List<Demand> demands) {
    Map<Integer, List<Demand>> byHost = new LinkedHashMap<>();
    List<Demand> remote = new ArrayList<>();
    for (Demand demand : demands) {
      int host = hosts.hostOf(demand.to);
      if (pool.onHost(host) == null) {
        remote.add(demand);
      } else {
        byHost.computeIfAbsent(host, unused -> new ArrayList<>()).add(demand);
      }
    }
    byHost.forEach(
        (host, local) -> {
          int[] senders = pool.onHost(host);
          spread(local, senders == null ? pool.ranks : senders);
        });
    spread(remote, pool.ranks);
  }

  private void spread(List<Demand> demands, int[] candidates) {
    if (demands.isEmpty()) {
      return;
    }
    int[] senders = leastLoaded(candidates, demands.size());
    long total = 0;
    for (Demand demand : demands) {
      total += demand.elements();
    }
    long[] quota = quotas(senders, total);
    int sender = 0;
    long left = quota[0];
    for (Demand demand : demands) {
      long width = demand.features.size();
      for (Interval range : demand.rows.ranges) {
        long row = range.start();
        while (row < range.end()) {
          while (left <= 0 && sender + 1 < senders.length) {
            sender++;
            left += quota[sender];
          }
          long rows = range.end() - row;
          if (sender + 1 < senders.length) {
            rows = Math.min(rows, Math.ceilDiv(left, width));
          }
          send(senders[sender], demand, new Interval(row, row + rows));
          load.merge(senders[sender], rows * width, Long::sum);
          left -= rows * width;
          row += rows;
        }
      }
    }
  }

  /** At most {@code count} candidates with the least to send so far; equal ones in their order. */
  private int[] leastLoaded(int[] candidates, int count) {
    if (candidates.length <= count) {
      return candidates;
    }
    return Arrays.stream(candidates)
        .boxed()
        .sorted(Comparator.comparingLong(this::loadOf))
        .limit(count)
        .mapToInt(Integer::intValue)
        .toArray();
  }

  /** How much each sender adds so that all end up with as equal a load as can be. */
  private long[] quotas(int[] senders, long total) {
    Integer[] order = new Integer[senders.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, Comparator.comparingLong(i -> loadOf(senders[i])));
    long sum = 0;
    int filled = 0;
    while (filled < order.length && loadOf(senders[order[filled]]) * filled - sum <= total) {
      sum += loadOf(senders[order[filled]]);
      filled++;
    }
    long level = (total + sum) / filled;
    long spare = (total + sum) % filled;
    long[] quota = new long[senders.length];
    for (int i = 0; i < filled; i++) {
      quota[order[i]] = level - loadOf(senders[order[i]]) + (i < spare ? 1 : 0);
    }
    return quota;
  }

  private long loadOf(int rank) {
    return load.getOrDefault(rank, 0L);
  }

  private void send(int from, Demand demand, Interval rows) {
    MessageKey key = new MessageKey(from, demand.to, demand.summand, demand.features);
    messages
        .computeIfAbsent(key, unused -> new ArrayList<>())
        .add(
            new RowPiece(
                rows.start(),
                rows.end(),
                source.of(from).runs().placeOf(rows.start()),
                target.of(demand.to).runs().placeOf(rows.start())));
  }

  private static List<RowPiece> join(List<RowPiece> pieces) {
    pieces.sort(Comparator.comparingLong(RowPiece::start));
    List<RowPiece> joined = new ArrayList<>();
    RowPiece last = pieces.getFirst();
    for (RowPiece piece : pieces.subList(1, pieces.size())) {
      if (piece.start() == last.end()
          && piece.sourcePlace() == last.sourcePlace() + last.rows()
          && piece.targetPlace() == last.targetPlace() + last.rows()) {
        last = new RowPiece(last.start(), piece.end(), last.sourcePlace(), last.targetPlace());
      } else {
        joined.add(last);
        last = piece;
      }
    }
    joined.add(last);
    return joined;
  }
}
