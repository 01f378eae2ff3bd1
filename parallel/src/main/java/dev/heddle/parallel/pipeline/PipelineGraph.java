package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What is to be scheduled: components cut into pipeline stages, the boundaries between them, and
 * what each stage costs. Pure data.
 *
 * <p>The ranks of one stage with one data-parallel coordinate are a <em>lane</em>: they compute
 * together (their tensor- and context-parallel layers communicate), while lanes do not wait for
 * each other.
 */
public final class PipelineGraph {
  /**
   * What a stage's work on one microbatch takes, in any unit.
   *
   * @param forward its forward
   * @param backward the gradients of its input
   * @param weights the gradients of its parameters
   */
  public record Cost(long forward, long backward, long weights) {
    /** A backward costs twice a forward: one product becomes two. */
    public static final Cost USUAL = new Cost(100, 100, 100);
  }

  /**
   * A component.
   *
   * @param name its name
   * @param mesh the ranks that run it
   * @param costs for each stage what it costs; stage s runs on the pipeline coordinate s modulo the
   *     size of the mesh's {@code pp} axis
   */
  public record Stages(String name, Mesh mesh, List<Cost> costs) {
    /**
     * Takes a copy and checks that each pipeline rank has the same number of stages, at least 1.
     */
    public Stages {
      costs = List.copyOf(costs);
      int ranks = mesh.size(Axis.PP);
      if (costs.isEmpty() || costs.size() % ranks != 0) {
        throw new IllegalArgumentException(
            "schedule: component "
                + name
                + " has "
                + costs.size()
                + " stages on pp="
                + ranks
                + "; wanted a multiple of pp");
      }
    }

    /** A component of as many equal stages as its mesh has pipeline ranks. */
    public static Stages uniform(String name, Mesh mesh) {
      return new Stages(name, mesh, Collections.nCopies(mesh.size(Axis.PP), Cost.USUAL));
    }

    /** The number of stages. */
    public int count() {
      return costs.size();
    }

    /** The ranks of a stage. */
    public Mesh ranksOf(int stage) {
      return mesh.at(Axis.PP, stage % mesh.size(Axis.PP));
    }
  }

  /**
   * A boundary.
   *
   * @param name its name
   * @param source the component whose output crosses it
   * @param destination the component that takes it in
   * @param gradients whether gradients come back
   */
  public record Edge(String name, String source, String destination, boolean gradients) {}

  /** The ways that activations take, and their gradients back. */
  public sealed interface Link {
    /** Its name in instructions. */
    String name();

    /** The component and stage that it leaves. */
    Place from();

    /** The component and stage that it enters. */
    Place to();
  }

  /** A stage of a component. */
  public record Place(String component, int stage) {}

  /** From one stage of a component to the next, rank by rank with equal other coordinates. */
  public record StageLink(String component, int stage) implements Link {
    @Override
    public String name() {
      return component + " " + stage + " -> " + (stage + 1);
    }

    @Override
    public Place from() {
      return new Place(component, stage);
    }

    @Override
    public Place to() {
      return new Place(component, stage + 1);
    }
  }

  /** From a component's last stage to another's first, in whatever layouts these are. */
  public record BoundaryLink(Edge edge, int lastStage) implements Link {
    @Override
    public String name() {
      return edge.name();
    }

    @Override
    public Place from() {
      return new Place(edge.source(), lastStage);
    }

    @Override
    public Place to() {
      return new Place(edge.destination(), 0);
    }
  }

  private final List<Stages> components;
  private final List<Edge> edges;
  private final Map<String, Stages> byName = new LinkedHashMap<>();
  private final Map<String, Link> links = new LinkedHashMap<>();
  private final Map<Place, Integer> distances = new HashMap<>();
  private final Map<Place, List<List<Integer>>> lanes = new HashMap<>();
  private final Map<Place, Mesh> meshes = new HashMap<>();

  /**
   * A graph.
   *
   * @param components sources before their destinations; the last one ends in the loss
   * @param edges the boundaries
   */
  public PipelineGraph(List<Stages> components, List<Edge> edges) {
    this.components = List.copyOf(components);
    this.edges = List.copyOf(edges);
    for (Stages stages : components) {
      byName.put(stages.name(), stages);
      for (int stage = 0; stage < stages.count(); stage++) {
        if (stage + 1 < stages.count()) {
          addLink(new StageLink(stages.name(), stage));
        }
        Place place = new Place(stages.name(), stage);
        int pipeline = stages.mesh().size(Axis.PP);
        // Every pipeline-th stage is on the same ranks.
        Place before = new Place(stages.name(), stage - pipeline);
        Mesh mesh = stage < pipeline ? stages.ranksOf(stage) : ranksOf(before);
        meshes.put(place, mesh);
        lanes.put(place, stage < pipeline ? mesh.groups(Axis.TP, Axis.CP, Axis.EP) : lanes(before));
      }
    }
    for (Edge edge : edges) {
      for (String end : List.of(edge.source(), edge.destination())) {
        if (!byName.containsKey(end)) {
          throw new IllegalArgumentException(
              "schedule: boundary "
                  + edge.name()
                  + " names component "
                  + end
                  + ", which is not among "
                  + byName.keySet());
        }
      }
      addLink(new BoundaryLink(edge, component(edge.source()).count() - 1));
    }
    components.reversed().forEach(this::measure);
  }

  private void addLink(Link link) {
    if (links.put(link.name(), link) != null) {
      throw new IllegalArgumentException(
          "schedule: two links are called " + link.name() + "; name components apart");
    }
  }

  /** Distances from the sink, the longest way. */
  private void measure(Stages stages) {
    int distance = 0;
    for (Edge edge : edges) {
      if (edge.source().equals(stages.name())) {
        distance = Math.max(distance, 1 + distance(new Place(edge.destination(), 0)));
      }
    }
    for (int stage = stages.count() - 1; stage >= 0; stage--) {
      distances.put(new Place(stages.name(), stage), distance++);
    }
  }

  /** The components, sources before their destinations. */
  public List<Stages> components() {
    return components;
  }

  /** The boundaries. */
  public List<Edge> edges() {
    return edges;
  }

  /** The component called {@code name}. */
  public Stages component(String name) {
    Stages stages = byName.get(name);
    if (stages == null) {
      throw new IllegalArgumentException(
          "schedule: there is no component " + name + " among " + byName.keySet());
    }
    return stages;
  }

  /** The component that ends in the loss. */
  public Stages sink() {
    return components.getLast();
  }

  /** Whether gradients flow back through a component. */
  public boolean hasBackward(String component) {
    return sink().name().equals(component)
        || edges.stream().anyMatch(edge -> edge.source().equals(component) && edge.gradients());
  }

  /** All links by name. */
  public Map<String, Link> links() {
    return Collections.unmodifiableMap(links);
  }

  /** The link called {@code name}. */
  public Link link(String name) {
    Link link = links.get(name);
    if (link == null) {
      throw new IllegalArgumentException(
          "schedule: there is no link " + name + " among " + links.keySet());
    }
    return link;
  }

  /** Whether gradients come back over a link. */
  public boolean hasGradients(Link link) {
    return switch (link) {
      case StageLink inside -> hasBackward(inside.component());
      case BoundaryLink across -> across.edge().gradients();
    };
  }

  /**
   * How many stages lie between a stage and the end of the graph, the longest way: 0 for the last
   * stage of the sink.
   */
  public int distance(Place place) {
    Integer distance = distances.get(place);
    if (distance == null) {
      throw new IllegalArgumentException("schedule: there is no stage " + place);
    }
    return distance;
  }

  /** The number of stages on the longest way through the graph. */
  public int depth() {
    return 1 + Collections.max(distances.values());
  }

  /** The lanes of a stage, by data-parallel coordinate: ranks that compute together. */
  public List<List<Integer>> lanes(Place place) {
    List<List<Integer>> found = lanes.get(place);
    if (found == null) {
      throw new IllegalArgumentException("schedule: there is no stage " + place);
    }
    return found;
  }

  /** The ranks of a stage. */
  public Mesh ranksOf(Place place) {
    Mesh mesh = meshes.get(place);
    if (mesh == null) {
      throw new IllegalArgumentException("schedule: there is no stage " + place);
    }
    return mesh;
  }

  /** All ranks, ascending. */
  public List<Integer> ranks() {
    return components.stream()
        .flatMap(stages -> stages.mesh().ranks().stream())
        .distinct()
        .sorted()
        .toList();
  }

  /**
   * The ranks that a rank hears from at the end of a link: the one with equal coordinates in the
   * stage at the other end, or all ranks at the other side of a boundary.
   */
  public List<Integer> sendersTo(int rank, Link link, Instruction.Direction direction) {
    boolean forward = direction == Instruction.Direction.FORWARD;
    Place sender = forward ? link.from() : link.to();
    return switch (link) {
      case StageLink inside -> {
        Place receiver = forward ? link.to() : link.from();
        yield List.of(ranksOf(sender).rankAt(ranksOf(receiver).position(rank)));
      }
      case BoundaryLink across -> ranksOf(sender).ranks();
    };
  }

  /** All ranks at either end of a link, ascending. */
  public List<Integer> ranksOf(Link link) {
    List<Integer> members = new ArrayList<>();
    for (Place place : List.of(link.from(), link.to())) {
      members.addAll(ranksOf(place).ranks());
    }
    return members.stream().distinct().sorted().toList();
  }
}
