package dev.heddle.parallel.component;

import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.PipelineGraph;
import dev.heddle.parallel.pipeline.Schedule;
import dev.heddle.parallel.pipeline.ScheduleKind;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The components of a model and the boundaries between them: pure data, the same on every rank.
 *
 * @param components sources before their destinations; the last one ends in the loss
 * @param boundaries the edges
 * @param frozen the components that are not trained, by name
 */
public record ModelGraph(
    List<Component> components, List<BoundarySpec> boundaries, Set<String> frozen) {
  /** A graph of components that are all trained. */
  public ModelGraph(List<Component> components, List<BoundarySpec> boundaries) {
    this(components, boundaries, Set.of());
  }

  /** Checks that names are unique and edges go from earlier to later components. */
  public ModelGraph {
    components = List.copyOf(components);
    boundaries = List.copyOf(boundaries);
    frozen = Set.copyOf(frozen);
    if (components.isEmpty()) {
      throw new IllegalArgumentException("model graph: it has no component");
    }
    Set<String> names = new HashSet<>();
    for (Component component : components) {
      if (!names.add(component.name())) {
        throw new IllegalArgumentException(
            "model graph: two components are called " + component.name());
      }
    }
    for (String name : frozen) {
      if (!names.contains(name)) {
        throw new IllegalArgumentException(
            "model graph: frozen component " + name + " is not one of " + names);
      }
    }
    Set<String> edges = new HashSet<>();
    for (BoundarySpec boundary : boundaries) {
      int from = index(components, boundary.source());
      int to = index(components, boundary.destination());
      if (from < 0 || to < 0 || from >= to) {
        throw new IllegalArgumentException(
            "model graph: boundary "
                + boundary.name()
                + " must go from a component to a later one of "
                + names);
      }
      if (!edges.add(boundary.name())) {
        throw new IllegalArgumentException(
            "model graph: boundary "
                + boundary.name()
                + " is there twice; a component has one"
                + " output, send it once");
      }
    }
  }

  private static int index(List<Component> components, String name) {
    for (int i = 0; i < components.size(); i++) {
      if (components.get(i).name().equals(name)) {
        return i;
      }
    }
    return -1;
  }

  /**
   * The same with components that are not trained. Gradients are sent no further back than to the
   * components that need them: where nothing is trained from the beginning on to a boundary, none
   * cross it.
   */
  public ModelGraph withFrozen(Set<String> names) {
    ModelGraph graph = new ModelGraph(components, boundaries, names);
    return new ModelGraph(
        components,
        boundaries.stream()
            .map(
                edge ->
                    !edge.gradients() || graph.needsBackward(edge.source())
                        ? edge
                        : new BoundarySpec(
                            edge.source(),
                            edge.destination(),
                            edge.features(),
                            false,
                            edge.plan().andThen(BoundaryPlan::withoutBackward)))
            .toList(),
        names);
  }

  /** Whether gradients are computed in a component: for itself, or for one before it. */
  public boolean needsBackward(String component) {
    return !frozen.contains(component)
        || boundaries.stream()
            .filter(edge -> edge.destination().equals(component) && edge.gradients())
            .anyMatch(edge -> needsBackward(edge.source()));
  }

  /** The component that ends in the loss. */
  public Component sink() {
    return components.getLast();
  }

  /** The component called {@code name}. */
  public Component component(String name) {
    int index = index(components, name);
    if (index < 0) {
      throw new IllegalArgumentException("model graph: there is no component " + name);
    }
    return components.get(index);
  }

  /** The boundary called {@code name}. */
  public BoundarySpec boundary(String name) {
    return boundaries.stream()
        .filter(boundary -> boundary.name().equals(name))
        .findFirst()
        .orElseThrow(
            () -> new IllegalArgumentException("model graph: there is no boundary " + name));
  }

  /** The mesh of the component called {@code name}. */
  public Mesh mesh(String name) {
    return component(name).mesh();
  }

  /** What is to be scheduled. */
  public PipelineGraph pipeline() {
    return new PipelineGraph(
        components.stream()
            .map(c -> new PipelineGraph.Stages(c.name(), c.mesh(), c.stages()))
            .toList(),
        boundaries.stream()
            .map(b -> new PipelineGraph.Edge(b.name(), b.source(), b.destination(), b.gradients()))
            .toList());
  }

  /** The schedule of a step. */
  public Schedule schedule(ScheduleKind kind, int microBatches) {
    return Schedule.of(pipeline(), kind, microBatches);
  }

  /** The usual schedule of a step, 1F1B. */
  public Schedule schedule(int microBatches) {
    return schedule(ScheduleKind.ONE_FORWARD_ONE_BACKWARD, microBatches);
  }
}
