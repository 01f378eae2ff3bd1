package dev.heddle.parallel.component;

import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.Schedule;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The components of a model and the boundaries between them: pure data, the same on every rank.
 *
 * @param components sources before their destinations; the last one ends in the loss
 * @param boundaries the edges
 */
public record ModelGraph(List<Component> components, List<BoundarySpec> boundaries) {
  /** Checks that names are unique and edges go from earlier to later components. */
  public ModelGraph {
    components = List.copyOf(components);
    boundaries = List.copyOf(boundaries);
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

  /** The schedule that runs one microbatch after the other. */
  public Schedule schedule(int microBatches) {
    return Schedule.oneMicroBatchAtATime(
        components.stream().map(c -> new Schedule.Stage(c.name(), c.mesh())).toList(),
        boundaries.stream()
            .map(b -> new Schedule.Edge(b.name(), b.source(), b.destination(), b.gradients()))
            .toList(),
        microBatches);
  }
}
