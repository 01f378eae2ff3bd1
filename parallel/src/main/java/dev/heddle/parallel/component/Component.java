package dev.heddle.parallel.component;

import dev.heddle.parallel.mesh.Mesh;

/**
 * A part of a model that is laid out on its own.
 *
 * @param name its name in plans, messages and parameter names, such as {@code vision}
 * @param mesh the ranks that run it and its axes
 */
public record Component(String name, Mesh mesh) {}
