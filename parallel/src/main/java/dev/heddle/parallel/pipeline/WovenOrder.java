package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.pipeline.PipelineGraph.Edge;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import dev.heddle.parallel.pipeline.PipelineGraph.Stages;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The work of encoders woven into the order that the rest of the graph has without them. Where the
 * first stage of the last component goes forward with microbatch m, the encoders go forward with
 * microbatch m + {@code ahead}; where it has gone back with m, they go back with m.
 *
 * <p>This takes no longer than all encoder work first and last, for encoders without a pipeline of
 * their own and {@code ahead} large enough: think of all ranks pausing for the encoders. A rank
 * that is busy at that moment ends what it does and pauses then; it is done with both when it would
 * have been done if it had been interrupted. So the whole step takes what the rest takes alone and
 * the pauses, which is what the simple order takes; but the encoders' activations do not pile up.
 */
final class WovenOrder {
  private final PipelineGraph graph;
  private final int ahead;
  private final int microBatches;
  private final List<String> woven;
  private final Map<Work, Task> alone = new HashMap<>();

  /** What a task does, in the graph with and without the encoders. */
  private record Work(Task.Kind kind, Place place, int lane, int microBatch) {}

  private WovenOrder(PipelineGraph graph, List<String> woven, int ahead, int microBatches) {
    this.graph = graph;
    this.woven = woven;
    this.ahead = ahead;
    this.microBatches = microBatches;
  }

  /**
   * The woven order, or nothing where components that share ranks with the last one and others that
   * do not feed each other, or where an encoder has several stages a rank and so an order of its
   * own.
   *
   * @param ahead how many microbatches the encoders are ahead of the last component
   */
  static Optional<ListScheduler.Order> of(
      PipelineGraph graph, ScheduleKind kind, int ahead, int microBatches) {
    List<Stages> rest = new ArrayList<>();
    List<String> woven = new ArrayList<>();
    for (Stages stages : graph.components()) {
      boolean shares =
          !stages.equals(graph.sink()) && !stages.mesh().isDisjointFrom(graph.sink().mesh());
      if (shares && stages.count() > stages.mesh().size(Axis.PP)) {
        return Optional.empty();
      } else if (shares) {
        woven.add(stages.name());
      } else {
        rest.add(stages);
      }
    }
    List<Edge> edges = new ArrayList<>();
    for (Edge edge : graph.edges()) {
      boolean from = woven.contains(edge.source());
      boolean to = woven.contains(edge.destination());
      if (!from && to || from && !to && !edge.destination().equals(graph.sink().name())) {
        return Optional.empty();
      }
      if (!from) {
        edges.add(edge);
      }
    }
    SchedulePolicy policy =
        new SchedulePolicy(kind, SchedulePolicy.Encoders.BY_DISTANCE, 0, graph.depth());
    ListScheduler.Order others =
        ListScheduler.order(new PipelineGraph(rest, edges), policy, microBatches);
    WovenOrder order = new WovenOrder(graph, woven, ahead, microBatches);
    for (Task task : others.tasks()) {
      order.alone.put(new Work(task.kind, task.place, task.lane, task.microBatch), task);
    }
    policy = new SchedulePolicy(kind, SchedulePolicy.Encoders.BY_DISTANCE, ahead, graph.depth());
    return Optional.of(order.run(ListScheduler.tasks(graph, policy, microBatches)));
  }

  /**
   * When a task comes: the time at which it, or what it goes along with, starts without encoders.
   */
  private long moment(Task task) {
    Task guide = alone.get(new Work(task.kind, task.place, task.lane, task.microBatch));
    if (guide != null) {
      return guide.start;
    }
    boolean forward = task.kind == Task.Kind.FORWARD;
    int microBatch = forward ? task.microBatch - ahead : task.microBatch;
    if (microBatch < 0) {
      return -1;
    }
    Place first = new Place(graph.sink().name(), 0);
    long moment = forward ? Long.MAX_VALUE : 0;
    for (int lane = 0; lane < graph.lanes(first).size(); lane++) {
      Task.Kind kind = forward ? Task.Kind.FORWARD : Task.Kind.BACKWARD;
      Task meets = alone.get(new Work(kind, first, lane, microBatch));
      if (meets != null) {
        moment =
            forward ? Math.min(moment, meets.start) : Math.max(moment, meets.start + meets.cost);
      }
    }
    return moment;
  }

  /** Encoders come before what starts at the same time, and feed each other in their turn. */
  private Comparator<Task> inOrder() {
    Map<Task, Long> moments = new HashMap<>();
    return Comparator.comparingLong(
            (Task task) -> moments.computeIfAbsent(task, unused -> moment(task)))
        .thenComparingInt(task -> woven.contains(task.place.component()) ? 0 : 1)
        .thenComparingLong(this::turnAlone)
        .thenComparing(task -> task.kind)
        .thenComparingInt(task -> task.microBatch)
        .thenComparingInt(
            task -> (task.kind == Task.Kind.FORWARD ? -1 : 1) * graph.distance(task.place))
        .thenComparing(task -> task.place.component())
        .thenComparingInt(task -> task.lane);
  }

  private long turnAlone(Task task) {
    Task guide = alone.get(new Work(task.kind, task.place, task.lane, task.microBatch));
    return guide == null ? 0 : guide.turn;
  }

  /** Every task as early as its ranks, which take their tasks in order, and its inputs allow. */
  private ListScheduler.Order run(List<Task> tasks) {
    List<Task> order = tasks.stream().sorted(inOrder()).toList();
    long[] free = new long[graph.ranks().size()];
    Map<Task, Long> ready = new HashMap<>();
    long end = 0;
    long turn = 0;
    for (Task task : order) {
      if (task.waitsFor != 0) {
        throw new IllegalStateException("schedule: " + task + " comes before what it waits for");
      }
      long start = ready.getOrDefault(task, 0L);
      for (int member : task.members) {
        start = Math.max(start, free[member]);
      }
      long done = start + task.cost;
      task.start = start;
      task.turn = turn++;
      for (int member : task.members) {
        free[member] = done;
      }
      for (Task successor : task.successors) {
        successor.waitsFor--;
        ready.merge(successor, done, Math::max);
      }
      end = Math.max(end, done);
    }
    return new ListScheduler.Order(order, end);
  }
}
