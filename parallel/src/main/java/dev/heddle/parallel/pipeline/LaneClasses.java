package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import dev.heddle.parallel.pipeline.PipelineGraph.Stages;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Lanes that stand alike, so that a step of thousands of ranks is scheduled on a few of them.
 *
 * <p>Lanes meet in two ways only: where they share a rank, and at boundaries, where every lane of
 * one side meets every lane of the other. Lanes that share ranks, directly or over others, are one
 * <em>cluster</em>. Two clusters of lanes of the same components, with ranks that stand at the same
 * places of these lanes, have nothing to tell them apart, and do the same at the same time. So one
 * cluster of each class is scheduled, and the others do what it does.
 */
final class LaneClasses {
  private final PipelineGraph graph;
  private final PipelineGraph representatives;
  private final Map<Integer, Integer> like = new TreeMap<>();

  /** A component's lane with all its stages. */
  private record Lane(int component, int index) {}

  LaneClasses(PipelineGraph graph) {
    this.graph = graph;
    Map<List<Integer>, List<Integer>> ranksOfClass = new HashMap<>();
    Map<Integer, Set<Integer>> kept = new HashMap<>();
    for (List<Lane> cluster : clusters()) {
      List<Integer> ranks = new ArrayList<>();
      List<Integer> signature = sign(cluster, ranks);
      List<Integer> first = ranksOfClass.putIfAbsent(signature, ranks);
      for (int i = 0; i < ranks.size(); i++) {
        like.put(ranks.get(i), first == null ? ranks.get(i) : first.get(i));
      }
      if (first == null) {
        for (Lane lane : cluster) {
          kept.computeIfAbsent(lane.component, unused -> new TreeSet<>()).add(lane.index);
        }
      }
    }
    List<Stages> fewer = new ArrayList<>();
    for (int component = 0; component < graph.components().size(); component++) {
      Stages stages = graph.components().get(component);
      Mesh mesh = restrict(stages.mesh(), kept.getOrDefault(component, Set.of()));
      fewer.add(new Stages(stages.name(), mesh, stages.costs()));
    }
    representatives = new PipelineGraph(fewer, graph.edges());
  }

  /** The same components and boundaries on one cluster of each class. */
  PipelineGraph representatives() {
    return representatives;
  }

  /** Instruction lists of the representatives' ranks as lists of all ranks. */
  Map<Integer, List<Instruction>> spread(Map<Integer, List<Instruction>> lists) {
    Map<Integer, List<Instruction>> all = new TreeMap<>();
    like.forEach((rank, same) -> all.put(rank, lists.getOrDefault(same, List.of())));
    return all;
  }

  private int pipelineRanks(int component) {
    return graph.components().get(component).mesh().size(Axis.PP);
  }

  private List<Integer> ranks(Lane lane, int stage) {
    String name = graph.components().get(lane.component).name();
    return graph.lanes(new Place(name, stage)).get(lane.index);
  }

  private Iterable<List<Lane>> clusters() {
    Map<Lane, Lane> parents = new LinkedHashMap<>();
    Map<Integer, Lane> ofRank = new HashMap<>();
    for (int component = 0; component < graph.components().size(); component++) {
      String name = graph.components().get(component).name();
      int lanes = graph.lanes(new Place(name, 0)).size();
      for (int index = 0; index < lanes; index++) {
        Lane lane = new Lane(component, index);
        parents.put(lane, lane);
        for (int stage = 0; stage < pipelineRanks(component); stage++) {
          for (int rank : ranks(lane, stage)) {
            Lane other = ofRank.putIfAbsent(rank, lane);
            if (other != null) {
              // The earlier one leads, so that clusters come in the order of the graph.
              parents.put(root(parents, lane), root(parents, other));
            }
          }
        }
      }
    }
    Map<Lane, List<Lane>> clusters = new LinkedHashMap<>();
    for (Lane lane : parents.keySet()) {
      clusters.computeIfAbsent(root(parents, lane), unused -> new ArrayList<>()).add(lane);
    }
    return clusters.values();
  }

  private static Lane root(Map<Lane, Lane> parents, Lane lane) {
    Lane at = lane;
    Lane parent = parents.getOrDefault(at, at);
    while (!parent.equals(at)) {
      Lane above = parents.getOrDefault(parent, parent);
      parents.put(at, above);
      at = parent;
      parent = above;
    }
    return at;
  }

  /** What a cluster looks like, its ranks numbered by when they first come; these into a list. */
  private List<Integer> sign(List<Lane> cluster, List<Integer> ranks) {
    Map<Integer, Integer> numbers = new HashMap<>();
    List<Integer> signature = new ArrayList<>();
    for (Lane lane : cluster) {
      signature.add(-1 - lane.component);
      for (int stage = 0; stage < pipelineRanks(lane.component); stage++) {
        for (int rank : ranks(lane, stage)) {
          Integer number = numbers.get(rank);
          if (number == null) {
            number = ranks.size();
            numbers.put(rank, number);
            ranks.add(rank);
          }
          signature.add(number);
        }
      }
    }
    return signature;
  }

  private static Mesh restrict(Mesh mesh, Set<Integer> lanes) {
    if (lanes.size() == mesh.size(Axis.DP)) {
      return mesh;
    }
    Mesh.Builder builder =
        Mesh.onRanks(
            mesh.ranks().stream()
                .filter(rank -> lanes.contains(mesh.coordinate(rank, Axis.DP)))
                .toList());
    for (Axis axis : mesh.axes()) {
      builder.axis(axis, axis == Axis.DP ? lanes.size() : mesh.size(axis));
    }
    return builder.build();
  }
}
