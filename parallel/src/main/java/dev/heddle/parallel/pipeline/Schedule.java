package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Compute;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.Receive;
import dev.heddle.parallel.pipeline.Instruction.ReduceGradients;
import dev.heddle.parallel.pipeline.Instruction.Release;
import dev.heddle.parallel.pipeline.Instruction.Send;
import dev.heddle.parallel.pipeline.Instruction.Step;
import dev.heddle.parallel.pipeline.Instruction.WeightGradients;
import dev.heddle.parallel.pipeline.PipelineGraph.Link;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import dev.heddle.parallel.pipeline.PipelineGraph.Stages;
import dev.heddle.parallel.pipeline.SchedulePolicy.Encoders;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.TreeMap;

/**
 * What every rank does in one training step: pure data, printed, checked and then executed.
 *
 * @param graph what is scheduled
 * @param ranks the instruction list of each rank, by rank number; ranks that do the same share a
 *     list
 */
public record Schedule(PipelineGraph graph, Map<Integer, List<Instruction>> ranks) {
  /** Copies, so that a schedule cannot change; a list that ranks share stays shared. */
  public Schedule {
    Map<Integer, List<Instruction>> lists = new TreeMap<>();
    Map<List<Instruction>, List<Instruction>> copies = new IdentityHashMap<>();
    ranks.forEach(
        (rank, list) -> lists.put(rank, copies.computeIfAbsent(list, key -> List.copyOf(key))));
    ranks = Collections.unmodifiableMap(lists);
  }

  /**
   * The schedule of a step. The live activations of a stage are bounded by its distance to the end
   * of the graph, whatever the number of microbatches (but under {@link ScheduleKind#GPIPE}). Where
   * encoders share ranks with the component that ends in the loss, their work is put into the same
   * lists: of several orders the fastest on paper, with at most twice the depth of the graph of
   * their microbatches alive, and with fewer where that costs less than a hundredth.
   *
   * @param microBatches how many microbatches, at least 1
   * @throws IllegalArgumentException if the schedule cannot be run, naming ranks and instructions
   */
  public static Schedule of(PipelineGraph graph, ScheduleKind kind, int microBatches) {
    LaneClasses classes = new LaneClasses(graph);
    PipelineGraph few = classes.representatives();
    ListScheduler.Order best = order(few, kind, Encoders.BY_DISTANCE, 0, microBatches);
    if (sharesRanks(few)) {
      for (int ahead : List.of(0, 1, 2, few.depth() - 1, few.depth())) {
        ListScheduler.Order bestAhead = best;
        for (Encoders encoders : Encoders.values()) {
          if (encoders != Encoders.FIRST_AND_LAST) {
            ListScheduler.Order order = order(few, kind, encoders, ahead, microBatches);
            bestAhead = order.end() < bestAhead.end() ? order : bestAhead;
          }
        }
        best = ahead == 0 || bestAhead.end() < best.end() * 0.99 ? bestAhead : best;
      }
      best = woven(few, kind, microBatches, best);
    }
    return checked(graph, classes, best);
  }

  /**
   * Where costs are such that {@code best} is behind the simple order, a woven one, which is not,
   * and which keeps no more microbatches alive than is allowed.
   */
  private static ListScheduler.Order woven(
      PipelineGraph graph, ScheduleKind kind, int microBatches, ListScheduler.Order best) {
    long simple = order(graph, kind, Encoders.FIRST_AND_LAST, 0, microBatches).end();
    ListScheduler.Order found = best;
    for (int ahead = 1; ahead <= graph.depth() && found.end() > simple; ahead++) {
      ListScheduler.Order order = WovenOrder.of(graph, kind, ahead, microBatches).orElse(found);
      if (order.end() < found.end()
          && (kind == ScheduleKind.GPIPE || order.mostAlive(graph) <= 2 * graph.depth())) {
        found = order;
      }
    }
    return found;
  }

  private static ListScheduler.Order order(
      PipelineGraph graph, ScheduleKind kind, Encoders encoders, int ahead, int microBatches) {
    if (microBatches < 1) {
      throw new IllegalArgumentException(
          "schedule: got " + microBatches + " microbatches, wanted at least 1");
    }
    return ListScheduler.order(
        graph, new SchedulePolicy(kind, encoders, ahead, graph.depth()), microBatches);
  }

  /**
   * The simple order for encoders, to compare with: all their work forward first, all of it back
   * last. Their live activations grow with the number of microbatches.
   */
  public static Schedule encodersFirst(PipelineGraph graph, ScheduleKind kind, int microBatches) {
    LaneClasses classes = new LaneClasses(graph);
    PipelineGraph few = classes.representatives();
    return checked(graph, classes, order(few, kind, Encoders.FIRST_AND_LAST, 0, microBatches));
  }

  /** Whether a component before the last one shares ranks with it. */
  public static boolean sharesRanks(PipelineGraph graph) {
    return graph.components().stream()
        .anyMatch(
            stages ->
                !stages.equals(graph.sink()) && !stages.mesh().isDisjointFrom(graph.sink().mesh()));
  }

  private static Schedule checked(
      PipelineGraph graph, LaneClasses classes, ListScheduler.Order order) {
    Map<Integer, List<Instruction>> few =
        new Writer(classes.representatives()).lists(order.tasks());
    Schedule schedule = new Schedule(graph, classes.spread(few));
    ScheduleCheck.check(schedule);
    return schedule;
  }

  /** Writes tasks and what they need and hand on into the lists of their ranks. */
  private static final class Writer {
    private final PipelineGraph graph;

    /** What a rank does goes by the lanes that it is in: ranks of the same lanes do the same. */
    private final Map<Integer, List<Instruction>> lists = new LinkedHashMap<>();

    private final Map<Place, List<List<List<Instruction>>>> ofLane = new HashMap<>();

    /** For each list the microbatches that it has yet to release, the earliest first. */
    private final Map<List<Instruction>, PriorityQueue<Releasable>> toRelease =
        new IdentityHashMap<>();

    private final Map<Direction, Map<Place, List<Link>>> crossed = new EnumMap<>(Direction.class);

    /** A crossing of a link. */
    private record Crossing(String link, int microBatch, Direction direction) {}

    /**
     * A microbatch that a list is done with after turn {@code after}: its own work on it and that
     * of all who take what it has sent.
     */
    private record Releasable(long after, int microBatch) {}

    Writer(PipelineGraph graph) {
      this.graph = graph;
    }

    Map<Integer, List<Instruction>> lists(List<Task> tasks) {
      share();
      findReleases(tasks);
      for (Task task : tasks) {
        for (List<Instruction> list : lane(task)) {
          release(list, task.turn);
          write(task, list);
        }
      }
      Map<List<Instruction>, Boolean> ended = new IdentityHashMap<>();
      lists.forEach(
          (rank, list) -> {
            if (ended.put(list, true) == null) {
              end(rank, list);
            }
          });
      return lists;
    }

    /**
     * When a list is done with a microbatch. Whoever waits in turn for what has an earlier turn
     * cannot wait for himself.
     */
    private void findReleases(List<Task> tasks) {
      Map<Crossing, Long> taken = new HashMap<>();
      for (Task task : tasks) {
        for (Link link : crossed(task)) {
          if (ends(link, direction(task)).equals(task.place)) {
            taken.merge(
                new Crossing(link.name(), task.microBatch, direction(task)), task.turn, Math::max);
          }
        }
      }
      Map<List<Instruction>, Map<Integer, Long>> after = new IdentityHashMap<>();
      for (Task task : tasks) {
        long turn = task.turn;
        for (Link link : crossed(task)) {
          Crossing crossing = new Crossing(link.name(), task.microBatch, direction(task));
          turn = Math.max(turn, taken.getOrDefault(crossing, 0L));
        }
        for (List<Instruction> list : lane(task)) {
          after
              .computeIfAbsent(list, unused -> new TreeMap<>())
              .merge(task.microBatch, turn, Math::max);
        }
      }
      after.forEach(
          (list, turns) -> {
            PriorityQueue<Releasable> queue =
                new PriorityQueue<>(
                    Comparator.comparingLong(Releasable::after)
                        .thenComparingInt(Releasable::microBatch));
            turns.forEach((microBatch, turn) -> queue.add(new Releasable(turn, microBatch)));
            toRelease.put(list, queue);
          });
    }

    /** Writes the releases of what a list is done with before turn {@code turn}. */
    private void release(List<Instruction> list, long turn) {
      PriorityQueue<Releasable> queue = toRelease.get(list);
      while (queue != null && !queue.isEmpty() && queue.element().after < turn) {
        list.add(new Release(queue.remove().microBatch));
      }
    }

    /** The links that a task takes from or hands on to. */
    private List<Link> crossed(Task task) {
      if (task.kind == Task.Kind.WEIGHTS) {
        return List.of();
      }
      Direction direction = direction(task);
      return crossed
          .computeIfAbsent(direction, unused -> new HashMap<>())
          .computeIfAbsent(
              task.place,
              place ->
                  graph.links().values().stream()
                      .filter(link -> moves(link, direction))
                      .filter(link -> link.from().equals(place) || link.to().equals(place))
                      .toList());
    }

    private static Direction direction(Task task) {
      return task.kind == Task.Kind.FORWARD ? Direction.FORWARD : Direction.BACKWARD;
    }

    private List<List<Instruction>> lane(Task task) {
      return ofLane.getOrDefault(task.place, List.of()).get(task.lane);
    }

    private void share() {
      Map<Integer, List<String>> signs = new TreeMap<>();
      forEachLane(
          (place, lane, rank) ->
              signs.computeIfAbsent(rank, key -> new ArrayList<>()).add(place + "/" + lane));
      Map<List<String>, List<Instruction>> shared = new HashMap<>();
      signs.forEach(
          (rank, sign) -> lists.put(rank, shared.computeIfAbsent(sign, key -> new ArrayList<>())));
      for (Stages stages : graph.components()) {
        for (int stage = 0; stage < stages.count(); stage++) {
          Place place = new Place(stages.name(), stage);
          List<List<List<Instruction>>> lanes = new ArrayList<>();
          for (List<Integer> lane : graph.lanes(place)) {
            List<List<Instruction>> distinct = new ArrayList<>();
            for (int rank : lane) {
              List<Instruction> list = lists.getOrDefault(rank, List.of());
              if (distinct.stream().noneMatch(other -> other == list)) {
                distinct.add(list);
              }
            }
            lanes.add(distinct);
          }
          ofLane.put(place, lanes);
        }
      }
    }

    private interface LaneVisitor {
      void visit(Place place, int lane, int rank);
    }

    private void forEachLane(LaneVisitor visitor) {
      for (Stages stages : graph.components()) {
        for (int stage = 0; stage < stages.count(); stage++) {
          Place place = new Place(stages.name(), stage);
          List<List<Integer>> lanes = graph.lanes(place);
          for (int lane = 0; lane < lanes.size(); lane++) {
            for (int rank : lanes.get(lane)) {
              visitor.visit(place, lane, rank);
            }
          }
        }
      }
    }

    private void write(Task task, List<Instruction> list) {
      String component = task.place.component();
      int stage = task.place.stage();
      int microBatch = task.microBatch;
      Direction direction = direction(task);
      for (Link link : crossed(task)) {
        if (ends(link, direction).equals(task.place)) {
          list.add(new Receive(link.name(), microBatch, direction));
        }
      }
      list.add(
          switch (task.kind) {
            case FORWARD -> new Forward(component, stage, microBatch);
            case BACKWARD -> new Backward(component, stage, microBatch, splits(task));
            case WEIGHTS -> new WeightGradients(component, stage, microBatch);
          });
      for (Link link : crossed(task)) {
        if (begins(link, direction).equals(task.place)) {
          list.add(new Send(link.name(), microBatch, direction));
        }
      }
    }

    private static boolean splits(Task task) {
      return task.successors.stream()
          .anyMatch(next -> next.kind == Task.Kind.WEIGHTS && next.place.equals(task.place));
    }

    private boolean moves(Link link, Direction direction) {
      return direction == Direction.FORWARD || graph.hasGradients(link);
    }

    private static Place begins(Link link, Direction direction) {
      return direction == Direction.FORWARD ? link.from() : link.to();
    }

    private static Place ends(Link link, Direction direction) {
      return direction == Direction.FORWARD ? link.to() : link.from();
    }

    /** Reductions come last and in one order, since all ranks of a component meet there. */
    private void end(int rank, List<Instruction> list) {
      release(list, Long.MAX_VALUE);
      for (Stages stages : graph.components()) {
        if (stages.mesh().contains(rank) && graph.hasBackward(stages.name())) {
          list.add(new ReduceGradients(stages.name()));
        }
      }
      list.add(new Step());
    }
  }

  /** The compute instructions of a rank, in order. */
  public List<Compute> computeOf(int rank) {
    return ranks.getOrDefault(rank, List.of()).stream()
        .filter(Compute.class::isInstance)
        .map(Compute.class::cast)
        .toList();
  }

  /** One line a rank. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    ranks.forEach(
        (rank, list) -> {
          text.append("rank ").append(rank).append(": ");
          for (int i = 0; i < list.size(); i++) {
            text.append(i == 0 ? "" : ", ").append(list.get(i));
          }
          text.append(System.lineSeparator());
        });
    return text.toString();
  }
}
