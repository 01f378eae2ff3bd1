package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import dev.heddle.parallel.pipeline.PipelineGraph.Edge;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import dev.heddle.parallel.pipeline.PipelineGraph.Stages;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A schedule run on paper: when each rank computes what, with the costs that the graph says and
 * transport that takes no time. Tells step time, bubbles, and how many microbatches' activations
 * are alive. Ranks that share an instruction list are run as one and share their list of spans.
 *
 * @param schedule what was run
 * @param end when the last computation ends
 * @param spans for each rank what it computes, in order
 */
public record ScheduleTimeline(Schedule schedule, long end, Map<Integer, List<Span>> spans) {
  /** A computation from {@code start} to {@code end}. */
  public record Span(Compute what, long start, long end) {}

  /** Runs a schedule that {@link ScheduleCheck} has passed. */
  public static ScheduleTimeline of(Schedule schedule) {
    return new Run(schedule).timeline();
  }

  /** The part of all ranks' time in which they compute nothing, 0 to 1. */
  public double bubbleShare() {
    long busy = 0;
    for (List<Span> ofRank : spans.values()) {
      busy += busy(ofRank);
    }
    return end == 0 ? 0 : 1 - (double) busy / ((double) end * spans.size());
  }

  private static long busy(List<Span> spans) {
    return spans.stream().mapToLong(span -> span.end() - span.start()).sum();
  }

  /**
   * The most microbatches of which a rank holds activations of a component at a time: forward has
   * begun, and neither the backward nor the weight gradients behind it have ended. Microbatches of
   * several stages of the rank count once for each.
   */
  public int peakLive(int rank, String component) {
    int live = 0;
    int peak = 0;
    boolean gradients = schedule.graph().hasBackward(component);
    for (Span span : spans.getOrDefault(rank, List.of())) {
      if (!span.what().component().equals(component)) {
        continue;
      }
      switch (span.what()) {
        case Forward forward -> {
          live++;
          peak = Math.max(peak, live);
          // Without a backward only the rows that are handed on outlive the forward.
          live -= gradients ? 0 : 1;
        }
        case Backward backward -> live -= backward.inputsOnly() ? 0 : 1;
        case WeightGradients weights -> live--;
      }
    }
    return peak;
  }

  /** Walks the lists, each computation as early as its lane and its inputs allow. */
  private static final class Run {
    private final PipelineGraph graph;
    private final Schedule schedule;
    private final Map<Integer, Unit> unitOf = new HashMap<>();
    private final List<Unit> units = new ArrayList<>();
    private final Map<Place, List<Unit>> unitsAt = new HashMap<>();
    private final Map<Neighbours, List<Unit>> neighbours = new HashMap<>();
    private long end;

    /** Ranks that share a list, run as one. */
    private static final class Unit {
      final List<Compute> list;
      final List<Span> spans = new ArrayList<>();
      final Map<Place, BitSet> lanes = new HashMap<>();
      final Map<Compute, Long> ends = new HashMap<>();
      int next;
      long free;

      Unit(List<Compute> list) {
        this.list = list;
      }

      @Nullable Compute current() {
        return next < list.size() ? list.get(next) : null;
      }
    }

    /** The units of a stage that are in the lanes of a unit of another stage, or of the same. */
    private record Neighbours(Unit unit, Place at, Place of) {}

    /** Units that must have done something before. */
    private record Input(Compute what, List<Unit> by) {}

    Run(Schedule schedule) {
      this.schedule = schedule;
      this.graph = schedule.graph();
      Map<List<Instruction>, Unit> known = new IdentityHashMap<>();
      schedule
          .ranks()
          .forEach(
              (rank, list) -> {
                Unit unit =
                    known.computeIfAbsent(
                        list,
                        key -> {
                          units.add(new Unit(schedule.computeOf(rank)));
                          return units.getLast();
                        });
                unitOf.put(rank, unit);
              });
      for (Stages stages : graph.components()) {
        for (int stage = 0; stage < stages.count(); stage++) {
          place(new Place(stages.name(), stage));
        }
      }
    }

    private void place(Place place) {
      List<List<Integer>> lanes = graph.lanes(place);
      Set<Unit> here = new LinkedHashSet<>();
      for (int lane = 0; lane < lanes.size(); lane++) {
        for (int rank : lanes.get(lane)) {
          Unit unit = unitOf.computeIfAbsent(rank, unused -> new Unit(List.of()));
          unit.lanes.computeIfAbsent(place, unused -> new BitSet()).set(lane);
          here.add(unit);
        }
      }
      unitsAt.put(place, List.copyOf(here));
    }

    ScheduleTimeline timeline() {
      boolean moved = true;
      while (moved) {
        moved = false;
        for (Unit unit : units) {
          while (advance(unit)) {
            moved = true;
          }
        }
      }
      if (units.stream().anyMatch(unit -> unit.current() != null)) {
        throw new IllegalStateException("schedule: it would never end; check it first");
      }
      Map<Integer, List<Span>> spans = new TreeMap<>();
      for (int rank : schedule.ranks().keySet()) {
        Unit unit = unitOf.get(rank);
        spans.put(rank, unit == null ? List.of() : unit.spans);
      }
      return new ScheduleTimeline(schedule, end, spans);
    }

    /** Runs the unit's next computation if all its lane is at it and its inputs have been made. */
    private boolean advance(Unit unit) {
      Compute next = unit.current();
      if (next == null) {
        return false;
      }
      Place place = new Place(next.component(), next.stage());
      List<Unit> together = neighbours(unit, place, place);
      long start = 0;
      for (Unit mate : together) {
        if (!next.equals(mate.current())) {
          return false;
        }
        start = Math.max(start, mate.free);
      }
      for (Input input : inputs(unit, place, next)) {
        for (Unit by : input.by) {
          Long made = by.ends.get(input.what);
          if (made == null) {
            return false;
          }
          start = Math.max(start, made);
        }
      }
      long done = start + Math.max(1, cost(next));
      for (Unit mate : together) {
        mate.next++;
        mate.free = done;
        mate.spans.add(new Span(next, start, done));
        mate.ends.put(next, done);
      }
      end = Math.max(end, done);
      return true;
    }

    private List<Unit> neighbours(Unit unit, Place at, Place of) {
      return neighbours.computeIfAbsent(
          new Neighbours(unit, at, of),
          unused -> {
            BitSet mine = unit.lanes.getOrDefault(at, new BitSet());
            return unitsAt.getOrDefault(of, List.of()).stream()
                .filter(other -> other.lanes.getOrDefault(of, new BitSet()).intersects(mine))
                .toList();
          });
    }

    private long cost(Compute what) {
      Cost cost = graph.component(what.component()).costs().get(what.stage());
      return switch (what) {
        case Forward forward -> cost.forward();
        case Backward backward -> cost.backward() + (backward.inputsOnly() ? 0 : cost.weights());
        case WeightGradients weights -> cost.weights();
      };
    }

    private List<Input> inputs(Unit unit, Place place, Compute what) {
      List<Input> inputs = new ArrayList<>();
      String component = place.component();
      int stage = place.stage();
      int microBatch = what.microBatch();
      switch (what) {
        case Forward forward -> {
          if (stage > 0) {
            Place before = new Place(component, stage - 1);
            inputs.add(
                new Input(
                    new Forward(component, stage - 1, microBatch),
                    neighbours(unit, place, before)));
          } else {
            for (Edge edge : graph.edges()) {
              if (edge.destination().equals(component)) {
                int last = graph.component(edge.source()).count() - 1;
                inputs.add(allAt(new Forward(edge.source(), last, microBatch)));
              }
            }
          }
        }
        case Backward backward -> {
          boolean half = backward.inputsOnly();
          if (stage + 1 < graph.component(component).count()) {
            Place after = new Place(component, stage + 1);
            inputs.add(
                new Input(
                    new Backward(component, stage + 1, microBatch, half),
                    neighbours(unit, place, after)));
          } else {
            for (Edge edge : graph.edges()) {
              if (edge.source().equals(component) && edge.gradients()) {
                inputs.add(allAt(new Backward(edge.destination(), 0, microBatch, half)));
              }
            }
          }
        }
        case WeightGradients weights -> {}
      }
      return inputs;
    }

    private Input allAt(Compute what) {
      Place place = new Place(what.component(), what.stage());
      return new Input(what, unitsAt.getOrDefault(place, List.of()));
    }
  }
}
