package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import dev.heddle.parallel.pipeline.PipelineGraph.Edge;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A schedule run on paper: when each rank computes what, with the costs that the graph says and
 * transport that takes no time. Tells step time, bubbles, and how many microbatches' activations
 * are alive.
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
    private final Schedule schedule;
    private final PipelineGraph graph;
    private final Map<Integer, Deque<Compute>> left = new TreeMap<>();
    private final Map<Integer, Long> free = new HashMap<>();
    private final Map<Integer, List<Span>> spans = new LinkedHashMap<>();
    private final Map<LaneTask, Long> ends = new HashMap<>();
    private long end;

    private record LaneTask(Compute what, int lane) {}

    Run(Schedule schedule) {
      this.schedule = schedule;
      this.graph = schedule.graph();
      for (int rank : schedule.ranks().keySet()) {
        left.put(rank, new ArrayDeque<>(schedule.computeOf(rank)));
        spans.put(rank, new ArrayList<>());
        free.put(rank, 0L);
      }
    }

    ScheduleTimeline timeline() {
      Deque<Integer> active = new ArrayDeque<>(left.keySet());
      int idle = 0;
      while (!active.isEmpty()) {
        int rank = active.removeFirst();
        boolean moved = false;
        while (advance(rank)) {
          moved = true;
        }
        idle = moved ? 0 : idle + 1;
        if (!left.getOrDefault(rank, new ArrayDeque<>()).isEmpty()) {
          if (idle > active.size() + 1) {
            throw new IllegalStateException("schedule: it would never end; check it first");
          }
          active.addLast(rank);
        }
      }
      return new ScheduleTimeline(schedule, end, spans);
    }

    /** Runs the rank's next computation if all its lane is at it and its inputs have been made. */
    private boolean advance(int rank) {
      Compute next = left.getOrDefault(rank, new ArrayDeque<>()).peek();
      if (next == null) {
        return false;
      }
      Place place = new Place(next.component(), next.stage());
      List<List<Integer>> lanes = graph.lanes(place);
      int lane = 0;
      while (!lanes.get(lane).contains(rank)) {
        lane++;
      }
      long start = 0;
      for (int mate : lanes.get(lane)) {
        if (!next.equals(left.getOrDefault(mate, new ArrayDeque<>()).peek())) {
          return false;
        }
        start = Math.max(start, free.getOrDefault(mate, 0L));
      }
      for (LaneTask input : inputs(next, lane)) {
        Long made = ends.get(input);
        if (made == null) {
          return false;
        }
        start = Math.max(start, made);
      }
      long done = start + Math.max(1, cost(next));
      for (int mate : lanes.get(lane)) {
        left.getOrDefault(mate, new ArrayDeque<>()).remove();
        free.put(mate, done);
        spans.getOrDefault(mate, new ArrayList<>()).add(new Span(next, start, done));
      }
      ends.put(new LaneTask(next, lane), done);
      end = Math.max(end, done);
      return true;
    }

    private long cost(Compute what) {
      Cost cost = graph.component(what.component()).costs().get(what.stage());
      return switch (what) {
        case Forward forward -> cost.forward();
        case Backward backward -> cost.backward() + (backward.inputsOnly() ? 0 : cost.weights());
        case WeightGradients weights -> cost.weights();
      };
    }

    private List<LaneTask> inputs(Compute what, int lane) {
      List<LaneTask> inputs = new ArrayList<>();
      String component = what.component();
      int stage = what.stage();
      int microBatch = what.microBatch();
      switch (what) {
        case Forward forward -> {
          if (stage > 0) {
            inputs.add(new LaneTask(new Forward(component, stage - 1, microBatch), lane));
          } else {
            for (Edge edge : graph.edges()) {
              if (edge.destination().equals(component)) {
                int last = graph.component(edge.source()).count() - 1;
                allLanes(inputs, new Forward(edge.source(), last, microBatch));
              }
            }
          }
        }
        case Backward backward -> {
          boolean half = backward.inputsOnly();
          if (stage + 1 < graph.component(component).count()) {
            inputs.add(new LaneTask(new Backward(component, stage + 1, microBatch, half), lane));
          } else {
            for (Edge edge : graph.edges()) {
              if (edge.source().equals(component) && edge.gradients()) {
                allLanes(inputs, new Backward(edge.destination(), 0, microBatch, half));
              }
            }
          }
        }
        case WeightGradients weights -> {}
      }
      return inputs;
    }

    private void allLanes(List<LaneTask> inputs, Compute what) {
      int lanes = graph.lanes(new Place(what.component(), what.stage())).size();
      for (int lane = 0; lane < lanes; lane++) {
        inputs.add(new LaneTask(what, lane));
      }
    }
  }
}
