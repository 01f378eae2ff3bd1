package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.RowRuns;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Finds who holds a row. Ranks that hold the same are one group; one sweep over the groups' run
 * bounds cuts the rows into segments within which the set of groups that hold them does not change.
 * Looking a run up then costs a binary search and the segments it meets, however many ranks there
 * are.
 */
final class SourceIndex {
  /** Ranks any of which can send the same elements of the same summand. */
  static final class Pool {
    final int[] ranks;
    private final Set<Integer> members = new HashSet<>();
    private final Map<Integer, int[]> ranksOfHost = new HashMap<>();

    Pool(List<int[]> groups, Hosts hosts) {
      ranks = groups.stream().flatMapToInt(Arrays::stream).distinct().toArray();
      Map<Integer, List<Integer>> byHost = new LinkedHashMap<>();
      for (int rank : ranks) {
        members.add(rank);
        byHost.computeIfAbsent(hosts.hostOf(rank), unused -> new ArrayList<>()).add(rank);
      }
      byHost.forEach(
          (host, list) ->
              ranksOfHost.put(host, list.stream().mapToInt(Integer::intValue).toArray()));
    }

    boolean contains(int rank) {
      return members.contains(rank);
    }

    /** The members on a host, or null when there is none. */
    int @Nullable [] onHost(int host) {
      return ranksOfHost.get(host);
    }
  }

  /** Within a segment, the holders of an interval of features: a pool for each summand. */
  record Column(Interval features, List<Pool> poolOfSummand) {}

  private record Group(RowRuns runs, Interval features, int summand, int[] ranks) {}

  private record GroupKey(RowRuns runs, Interval features, int summand) {}

  private final List<Group> groups = new ArrayList<>();
  private final int summandCount;
  private final Hosts hosts;
  private final Map<List<Integer>, Pool> pools = new HashMap<>();

  private int segmentCount;
  private long[] segmentStart = new long[16];
  private long[] segmentEnd = new long[16];
  private final List<List<Column>> segmentColumns = new ArrayList<>();

  SourceIndex(Collection<Holding> holdings, int summandCount, Hosts hosts) {
    this.summandCount = summandCount;
    this.hosts = hosts;
    Map<GroupKey, List<Integer>> ranks = new LinkedHashMap<>();
    for (Holding holding : holdings) {
      if (holding.elements() > 0) {
        GroupKey key = new GroupKey(holding.runs(), holding.features(), holding.summand());
        ranks.computeIfAbsent(key, unused -> new ArrayList<>()).add(holding.rank());
      }
    }
    ranks.forEach(
        (key, list) ->
            groups.add(
                new Group(
                    key.runs,
                    key.features,
                    key.summand,
                    list.stream().mapToInt(Integer::intValue).toArray())));
    sweep();
  }

  int segmentCount() {
    return segmentCount;
  }

  long start(int segment) {
    return segmentStart[segment];
  }

  long end(int segment) {
    return segmentEnd[segment];
  }

  /** The columns of a segment, disjoint, in ascending order; features held by nobody are absent. */
  List<Column> columns(int segment) {
    return segmentColumns.get(segment);
  }

  /** The first segment that ends after the row. */
  int firstEndingAfter(long row) {
    int found = Arrays.binarySearch(segmentEnd, 0, segmentCount, row + 1);
    return found >= 0 ? found : -found - 1;
  }

  private record Event(long row, boolean begins, int group) {}

  private void sweep() {
    List<Event> events = new ArrayList<>();
    for (int group = 0; group < groups.size(); group++) {
      RowRuns runs = groups.get(group).runs;
      for (int run = 0; run < runs.count(); run++) {
        events.add(new Event(runs.start(run), true, group));
        events.add(new Event(runs.end(run), false, group));
      }
    }
    events.sort((a, b) -> Long.compare(a.row, b.row));
    Map<List<Integer>, List<Column>> known = new HashMap<>();
    // A group may end and begin at one row; counting keeps the order of the two irrelevant.
    int[] open = new int[groups.size()];
    TreeSet<Integer> active = new TreeSet<>();
    int next = 0;
    while (next < events.size()) {
      long row = events.get(next).row;
      while (next < events.size() && events.get(next).row == row) {
        Event event = events.get(next++);
        open[event.group] += event.begins ? 1 : -1;
        if (open[event.group] > 0) {
          active.add(event.group);
        } else {
          active.remove(event.group);
        }
      }
      if (!active.isEmpty()) {
        List<Integer> holders = List.copyOf(active);
        addSegment(row, events.get(next).row, known.computeIfAbsent(holders, this::columnsOf));
      }
    }
  }

  private void addSegment(long start, long end, List<Column> columns) {
    if (segmentCount == segmentStart.length) {
      segmentStart = Arrays.copyOf(segmentStart, 2 * segmentCount);
      segmentEnd = Arrays.copyOf(segmentEnd, 2 * segmentCount);
    }
    segmentStart[segmentCount] = start;
    segmentEnd[segmentCount] = end;
    segmentCount++;
    segmentColumns.add(columns);
  }

  /** Cuts the features where a holder's features begin or end; complete columns only. */
  private List<Column> columnsOf(List<Integer> holders) {
    TreeSet<Long> cuts = new TreeSet<>();
    for (int holder : holders) {
      cuts.add(groups.get(holder).features.start());
      cuts.add(groups.get(holder).features.end());
    }
    List<Column> columns = new ArrayList<>();
    long start = cuts.removeFirst();
    for (long end : cuts) {
      Interval features = new Interval(start, end);
      List<Pool> poolOfSummand = new ArrayList<>();
      for (int summand = 0; summand < summandCount; summand++) {
        List<Integer> members = new ArrayList<>();
        for (int holder : holders) {
          Group group = groups.get(holder);
          if (group.summand == summand && group.features.containsAll(features)) {
            members.add(holder);
          }
        }
        if (!members.isEmpty()) {
          poolOfSummand.add(pools.computeIfAbsent(members, this::poolOf));
        }
      }
      if (poolOfSummand.size() == summandCount) {
        columns.add(new Column(features, poolOfSummand));
      }
      start = end;
    }
    return columns;
  }

  private Pool poolOf(List<Integer> members) {
    return new Pool(members.stream().map(member -> groups.get(member).ranks).toList(), hosts);
  }
}
