package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Instruction.Backward;
import dev.heddle.parallel.pipeline.Instruction.Direction;
import dev.heddle.parallel.pipeline.Instruction.Exchange;
import dev.heddle.parallel.pipeline.Instruction.Forward;
import dev.heddle.parallel.pipeline.Instruction.ReduceGradients;
import dev.heddle.parallel.pipeline.Instruction.Step;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What every rank does in one training step: pure data, printed, checked and then executed.
 *
 * @param ranks the instruction list of each rank, by rank number
 * @param meeting the ranks that must all arrive at an instruction that communicates between
 *     components, by boundary name
 */
public record Schedule(Map<Integer, List<Instruction>> ranks, Map<String, List<Integer>> meeting) {
  /** Copies, so that a schedule cannot change. */
  public Schedule {
    Map<Integer, List<Instruction>> lists = new TreeMap<>();
    ranks.forEach((rank, list) -> lists.put(rank, List.copyOf(list)));
    ranks = Collections.unmodifiableMap(lists);
    Map<String, List<Integer>> members = new TreeMap<>();
    meeting.forEach((name, group) -> members.put(name, List.copyOf(group)));
    meeting = Collections.unmodifiableMap(members);
  }

  /**
   * A component of the graph to be scheduled.
   *
   * @param name its name
   * @param mesh the ranks that run it
   */
  public record Stage(String name, Mesh mesh) {}

  /**
   * A boundary of the graph to be scheduled.
   *
   * @param name its name
   * @param source the component whose output crosses it
   * @param destination the component that takes it in
   * @param gradients whether gradients come back
   */
  public record Edge(String name, String source, String destination, boolean gradients) {}

  /**
   * Each microbatch forward through all components and back before the next begins. The simplest
   * order: one microbatch's activations are alive at a time.
   *
   * @param stages the components, sources before their destinations
   * @param edges the boundaries
   * @param microBatches how many microbatches, at least 1
   */
  public static Schedule oneMicroBatchAtATime(
      List<Stage> stages, List<Edge> edges, int microBatches) {
    if (microBatches < 1) {
      throw new IllegalArgumentException(
          "schedule: got " + microBatches + " microbatches, wanted at least 1");
    }
    Map<String, Mesh> meshes = new LinkedHashMap<>();
    stages.forEach(stage -> meshes.put(stage.name(), stage.mesh()));
    Map<Integer, List<Instruction>> lists = new TreeMap<>();
    for (Stage stage : stages) {
      stage.mesh().ranks().forEach(rank -> lists.putIfAbsent(rank, new ArrayList<>()));
    }
    Map<String, List<Integer>> meeting = new LinkedHashMap<>();
    for (Edge edge : edges) {
      TreeSet<Integer> members = new TreeSet<>();
      members.addAll(mesh(meshes, edge.source(), edge).ranks());
      members.addAll(mesh(meshes, edge.destination(), edge).ranks());
      meeting.put(edge.name(), List.copyOf(members));
    }
    for (int microBatch = 0; microBatch < microBatches; microBatch++) {
      for (Stage stage : stages) {
        for (Edge edge : edges) {
          if (edge.destination().equals(stage.name())) {
            append(
                lists,
                members(meeting, edge),
                new Exchange(edge.name(), microBatch, Direction.FORWARD));
          }
        }
        append(lists, stage.mesh().ranks(), new Forward(stage.name(), microBatch));
      }
      for (Stage stage : stages.reversed()) {
        append(lists, stage.mesh().ranks(), new Backward(stage.name(), microBatch));
        for (Edge edge : edges.reversed()) {
          if (edge.destination().equals(stage.name()) && edge.gradients()) {
            append(
                lists,
                members(meeting, edge),
                new Exchange(edge.name(), microBatch, Direction.BACKWARD));
          }
        }
      }
    }
    for (Stage stage : stages) {
      append(lists, stage.mesh().ranks(), new ReduceGradients(stage.name()));
    }
    lists.values().forEach(list -> list.add(new Step()));
    Schedule schedule = new Schedule(lists, meeting);
    ScheduleCheck.check(schedule, meshes);
    return schedule;
  }

  private static Mesh mesh(Map<String, Mesh> meshes, String component, Edge edge) {
    Mesh mesh = meshes.get(component);
    if (mesh == null) {
      throw new IllegalArgumentException(
          "schedule: boundary "
              + edge.name()
              + " names component "
              + component
              + ", which is not among "
              + meshes.keySet());
    }
    return mesh;
  }

  private static void append(
      Map<Integer, List<Instruction>> lists, List<Integer> ranks, Instruction instruction) {
    for (int rank : ranks) {
      lists.computeIfAbsent(rank, key -> new ArrayList<>()).add(instruction);
    }
  }

  private static List<Integer> members(Map<String, List<Integer>> meeting, Edge edge) {
    return meeting.getOrDefault(edge.name(), List.of());
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
