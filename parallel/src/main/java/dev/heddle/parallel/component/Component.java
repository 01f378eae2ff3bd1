package dev.heddle.parallel.component;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.pipeline.PipelineGraph.Cost;
import java.util.Collections;
import java.util.List;

/**
 * A part of a model that is laid out on its own.
 *
 * @param name its name in plans, messages and parameter names, such as {@code vision}
 * @param mesh the ranks that run it and its axes
 * @param stages for each of its pipeline stages what it costs; stage s is run by the pipeline
 *     coordinate s modulo the size of the mesh's {@code pp} axis
 */
public record Component(String name, Mesh mesh, List<Cost> stages) {
  /** Takes a copy. */
  public Component {
    stages = List.copyOf(stages);
  }

  /** A component of as many equal stages as its mesh has pipeline ranks. */
  public Component(String name, Mesh mesh) {
    this(name, mesh, Collections.nCopies(mesh.size(Axis.PP), Cost.USUAL));
  }
}
