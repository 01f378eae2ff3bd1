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
import java.util.PriorityQueue;
import java.util.TreeSet;

/**
 * Orders the work of a training step by list scheduling (Graham, "Bounds on Multiprocessing Timing
 * Anomalies", 1969): the step is run on paper with the costs that the graph says; whenever ranks
 * are free they take, of what could start, what the policy prefers. A lane's ranks start together.
 *
 * <p>Every rank does its tasks in the order of their start times on paper. That order cannot
 * deadlock: of all tasks not done, the one that started first on paper has all its ranks at hand
 * and all its inputs under way.
 */
final class ListScheduler {
  private final PipelineGraph graph;
  private final SchedulePolicy policy;
  private final int microBatches;
  private final Map<Integer, Integer> rankIndex = new HashMap<>();
  private final List<Task> tasks = new ArrayList<>();
  private final Map<Place, Task[][][]> byPlace = new HashMap<>();
  private long end;
  private long started;

  private ListScheduler(PipelineGraph graph, SchedulePolicy policy, int microBatches) {
    this.graph = graph;
    this.policy = policy;
    this.microBatches = microBatches;
    graph.ranks().forEach(rank -> rankIndex.put(rank, rankIndex.size()));
  }

  /**
   * The tasks of a step, in the order of their starts.
   *
   * @param tasks the tasks
   * @param end when the last one ends
   */
  record Order(List<Task> tasks, long end) {
    /**
     * The most microbatches of which a lane of a stage before the last component holds activations
     * at a time.
     */
    int mostAlive(PipelineGraph graph) {
      boolean split = tasks.stream().anyMatch(task -> task.kind == Task.Kind.WEIGHTS);
      Map<Place, Map<Integer, Integer>> alive = new HashMap<>();
      int most = 0;
      for (Task task : tasks) {
        boolean ends = task.kind == (split ? Task.Kind.WEIGHTS : Task.Kind.BACKWARD);
        int change = task.kind == Task.Kind.FORWARD ? 1 : ends ? -1 : 0;
        if (!task.place.component().equals(graph.sink().name())) {
          int now =
              alive
                  .computeIfAbsent(task.place, unused -> new HashMap<>())
                  .merge(task.lane, change, Integer::sum);
          most = graph.hasBackward(task.place.component()) ? Math.max(most, now) : most;
        }
      }
      return most;
    }
  }

  static Order order(PipelineGraph graph, SchedulePolicy policy, int microBatches) {
    ListScheduler scheduler = connected(graph, policy, microBatches);
    scheduler.run();
    return new Order(
        scheduler.tasks.stream()
            .sorted(Comparator.comparingLong((Task task) -> task.turn))
            .toList(),
        scheduler.end);
  }

  /** The tasks of a step, each with those that wait for it, not ordered yet. */
  static List<Task> tasks(PipelineGraph graph, SchedulePolicy policy, int microBatches) {
    return connected(graph, policy, microBatches).tasks;
  }

  private static ListScheduler connected(
      PipelineGraph graph, SchedulePolicy policy, int microBatches) {
    ListScheduler scheduler = new ListScheduler(graph, policy, microBatches);
    scheduler.makeTasks();
    scheduler.connect();
    return scheduler;
  }

  private void makeTasks() {
    for (Stages stages : graph.components()) {
      boolean back = graph.hasBackward(stages.name());
      for (int stage = 0; stage < stages.count(); stage++) {
        Place place = new Place(stages.name(), stage);
        List<List<Integer>> lanes = graph.lanes(place);
        Task[][][] ofPlace = new Task[Task.Kind.values().length][lanes.size()][];
        for (Task.Kind kind : Task.Kind.values()) {
          if (kind == Task.Kind.FORWARD || back && (kind == Task.Kind.BACKWARD || splits())) {
            for (int lane = 0; lane < lanes.size(); lane++) {
              ofPlace[kind.ordinal()][lane] = makeLane(kind, stages, place, lane, lanes.get(lane));
            }
          }
        }
        byPlace.put(place, ofPlace);
      }
      limit(stages);
    }
  }

  private boolean splits() {
    return policy.kind() == ScheduleKind.ZERO_BUBBLE;
  }

  private Task[] makeLane(
      Task.Kind kind, Stages stages, Place place, int lane, List<Integer> ranks) {
    PipelineGraph.Cost cost = stages.costs().get(place.stage());
    long time =
        switch (kind) {
          case FORWARD -> cost.forward();
          case BACKWARD -> cost.backward() + (splits() ? 0 : cost.weights());
          case WEIGHTS -> cost.weights();
        };
    int[] members = ranks.stream().mapToInt(rankIndex::get).toArray();
    Task[] made = new Task[microBatches];
    for (int microBatch = 0; microBatch < microBatches; microBatch++) {
      Task task = new Task(kind, place, lane, microBatch, Math.max(1, time), members);
      task.rank = policy.rank(graph, task, place(stages, task));
      made[microBatch] = task;
      tasks.add(task);
    }
    return made;
  }

  /** Among tasks of the same kind and distance, which comes first. */
  private long place(Stages stages, Task task) {
    return (long) turn(stages, task) * 4096 + task.lane;
  }

  /**
   * The turn of a task among those of its kind on its pipeline rank: by microbatch; with several
   * stages a rank by groups of as many microbatches as there are pipeline ranks, each group going
   * through one of the rank's stages after the other.
   */
  private int turn(Stages stages, Task task) {
    int pipeline = stages.mesh().size(Axis.PP);
    int chunks = stages.count() / pipeline;
    if (chunks == 1) {
      return task.microBatch;
    }
    int chunk = task.place.stage() / pipeline;
    int step = task.kind == Task.Kind.FORWARD ? chunk : chunks - 1 - chunk;
    int group = task.microBatch / pipeline;
    int size = Math.min(pipeline, microBatches - group * pipeline);
    return group * pipeline * chunks + step * size + task.microBatch % pipeline;
  }

  private Task[][] of(Place place, Task.Kind kind) {
    Task[][][] found = byPlace.get(place);
    return found == null || found[kind.ordinal()][0] == null
        ? new Task[0][]
        : found[kind.ordinal()];
  }

  /** Bounds the activations that are alive at a time. */
  private void limit(Stages stages) {
    int pipeline = stages.mesh().size(Axis.PP);
    int chunks = stages.count() / pipeline;
    boolean back = graph.hasBackward(stages.name());
    for (int at = 0; at < pipeline; at++) {
      int lanes = graph.lanes(new Place(stages.name(), at)).size();
      for (int lane = 0; lane < lanes; lane++) {
        Place place = new Place(stages.name(), at);
        int most =
            chunks == 1 || policy.isUnbounded(graph, place)
                ? policy.liveMicroBatches(graph, place)
                : policy.kind() == ScheduleKind.INTERLEAVED
                    ? chunks
                        * (graph.distance(new Place(stages.name(), stages.count() - 1))
                            + 2 * pipeline)
                    : Integer.MAX_VALUE;
        LiveLimit limit = back ? new LiveLimit(most) : LiveLimit.none();
        boolean defers = splits() && back && most < Integer.MAX_VALUE;
        LiveLimit deferred =
            defers ? new LiveLimit(Math.max(most, policy.deferred())) : LiveLimit.none();
        List<Task> forwards = new ArrayList<>();
        List<Task> backwards = new ArrayList<>();
        for (int chunk = 0; chunk < chunks; chunk++) {
          Place ofChunk = new Place(stages.name(), chunk * pipeline + at);
          for (Task.Kind kind : Task.Kind.values()) {
            Task[][] ofKind = of(ofChunk, kind);
            for (Task task : ofKind.length == 0 ? new Task[0] : ofKind[lane]) {
              task.limit = limit;
              task.deferredLimit = deferred;
              (kind == Task.Kind.FORWARD ? forwards : backwards).add(task);
            }
          }
        }
        chain(inTurn(stages, forwards));
        List<Task> first = backwards.stream().filter(t -> t.kind == Task.Kind.BACKWARD).toList();
        chain(inTurn(stages, first));
        chain(inTurn(stages, backwards.stream().filter(t -> !first.contains(t)).toList()));
        boolean sink = stages.equals(graph.sink());
        if (chunks > 1 && sink && policy.kind() == ScheduleKind.INTERLEAVED) {
          // As Megatron-LM warms up, in units of one stage's microbatch.
          int warmUp = 2 * (pipeline - 1 - at) + (chunks - 1) * pipeline;
          alternate(inTurn(stages, forwards), inTurn(stages, first), warmUp);
        }
      }
    }
  }

  private List<Task> inTurn(Stages stages, List<Task> ofKind) {
    return ofKind.stream().sorted(Comparator.comparingInt(task -> turn(stages, task))).toList();
  }

  /** Tasks of one kind on one rank keep their turns, so that messages keep theirs. */
  private static void chain(List<Task> inTurn) {
    for (int i = 1; i < inTurn.size(); i++) {
      inTurn.get(i).after(inTurn.get(i - 1));
    }
  }

  /**
   * Some forwards to warm up, then a forward and a backward in turn: with several stages a rank a
   * backward that could start must not keep the forwards waiting that later backwards need.
   */
  private static void alternate(List<Task> forwards, List<Task> backwards, int warmUp) {
    for (int i = 0; i + warmUp < forwards.size(); i++) {
      backwards.get(i).after(forwards.get(i + warmUp));
      if (i + warmUp + 1 < forwards.size()) {
        forwards.get(i + warmUp + 1).after(backwards.get(i));
      }
    }
  }

  private void connect() {
    for (Stages stages : graph.components()) {
      for (int stage = 0; stage < stages.count(); stage++) {
        Place place = new Place(stages.name(), stage);
        Place next = new Place(stages.name(), stage + 1);
        if (stage + 1 < stages.count()) {
          laneByLane(of(place, Task.Kind.FORWARD), of(next, Task.Kind.FORWARD));
          laneByLane(of(next, Task.Kind.BACKWARD), of(place, Task.Kind.BACKWARD));
        }
        laneByLane(of(place, Task.Kind.FORWARD), of(place, Task.Kind.BACKWARD));
        laneByLane(of(place, Task.Kind.BACKWARD), of(place, Task.Kind.WEIGHTS));
        if (policy.kind() == ScheduleKind.GPIPE) {
          allBefore(of(place, Task.Kind.FORWARD), of(place, Task.Kind.BACKWARD));
        }
      }
    }
    for (Edge edge : graph.edges()) {
      Place source = new Place(edge.source(), graph.component(edge.source()).count() - 1);
      Place destination = new Place(edge.destination(), 0);
      across(of(source, Task.Kind.FORWARD), of(destination, Task.Kind.FORWARD));
      if (edge.gradients()) {
        across(of(destination, Task.Kind.BACKWARD), of(source, Task.Kind.BACKWARD));
      }
      if (!graph.hasBackward(edge.source())) {
        boundAhead(edge);
      }
      if (policy.encoders() == SchedulePolicy.Encoders.FIRST_AND_LAST) {
        allBefore(of(source, Task.Kind.FORWARD), of(destination, Task.Kind.FORWARD));
        if (edge.gradients()) {
          allBefore(of(destination, Task.Kind.BACKWARD), of(source, Task.Kind.BACKWARD));
        }
      }
    }
  }

  /** A component that nothing flows back through runs only so far ahead of who takes its rows. */
  private void boundAhead(Edge edge) {
    Stages source = graph.component(edge.source());
    for (int stage = 0; stage < source.count(); stage++) {
      Place place = new Place(edge.source(), stage);
      int most = policy.liveMicroBatches(graph, place);
      for (Task[] taker : of(new Place(edge.destination(), 0), Task.Kind.FORWARD)) {
        for (Task[] maker : of(place, Task.Kind.FORWARD)) {
          for (int i = 0; i < microBatches - (long) most; i++) {
            maker[i + most].after(taker[i]);
          }
        }
      }
    }
  }

  private static void laneByLane(Task[][] earlier, Task[][] later) {
    for (int lane = 0; lane < Math.min(earlier.length, later.length); lane++) {
      for (int i = 0; i < later[lane].length; i++) {
        later[lane][i].after(earlier[lane][i]);
      }
    }
  }

  /** Any lane may need rows of any other. */
  private static void across(Task[][] earlier, Task[][] later) {
    for (Task[] from : earlier) {
      for (Task[] to : later) {
        for (int i = 0; i < to.length; i++) {
          to[i].after(from[i]);
        }
      }
    }
  }

  /** The last of a chain is before the first of another. */
  private static void allBefore(Task[][] earlier, Task[][] later) {
    for (Task[] from : earlier) {
      for (Task[] to : later) {
        to[0].after(from[from.length - 1]);
      }
    }
  }

  private void run() {
    boolean[] busy = new boolean[rankIndex.size()];
    Comparator<Task> preference =
        Comparator.comparingLong((Task task) -> task.rank)
            .thenComparing(task -> task.place.component());
    TreeSet<Task> ready = new TreeSet<>(preference.thenComparing(task -> task.place.stage()));
    PriorityQueue<Task> running =
        new PriorityQueue<>(
            Comparator.comparingLong((Task task) -> task.start + task.cost)
                .thenComparing(preference));
    tasks.stream().filter(task -> task.waitsFor == 0).forEach(ready::add);
    long now = 0;
    while (!ready.isEmpty() || !running.isEmpty()) {
      start(ready, running, busy, now);
      Task first = running.peek();
      if (first == null) {
        throw new IllegalStateException("schedule: nothing can start of " + ready);
      }
      now = first.start + first.cost;
      while (first != null && first.start + first.cost == now) {
        running.remove();
        complete(first, ready, busy);
        first = running.peek();
      }
    }
    end = now;
    for (Task task : tasks) {
      if (task.start < 0) {
        throw new IllegalStateException("schedule: " + task + " waits for itself in a circle");
      }
    }
  }

  private void start(TreeSet<Task> ready, PriorityQueue<Task> running, boolean[] busy, long now) {
    for (var candidates = ready.iterator(); candidates.hasNext(); ) {
      Task task = candidates.next();
      if (task.fits() && isFree(task, busy)) {
        candidates.remove();
        task.start = now;
        task.turn = started++;
        for (int member : task.members) {
          busy[member] = true;
        }
        if (task.kind == Task.Kind.FORWARD) {
          task.limit.take();
          task.deferredLimit.take();
        }
        running.add(task);
      }
    }
  }

  private static boolean isFree(Task task, boolean[] busy) {
    for (int member : task.members) {
      if (busy[member]) {
        return false;
      }
    }
    return true;
  }

  private void complete(Task task, TreeSet<Task> ready, boolean[] busy) {
    for (int member : task.members) {
      busy[member] = false;
    }
    switch (task.kind) {
      case FORWARD -> {}
      case BACKWARD -> task.limit.release();
      case WEIGHTS -> task.deferredLimit.release();
    }
    for (Task successor : task.successors) {
      if (--successor.waitsFor == 0) {
        ready.add(successor);
      }
    }
  }
}
