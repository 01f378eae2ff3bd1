/**
 * Ranks in a grid with named axes.
 *
 * <p>A rank is one worker: a thread, a process or a GPU, known by a number that is unique in the
 * whole job. A {@link dev.heddle.parallel.mesh.Mesh} lays some of these ranks out on a grid whose
 * axes have names ({@link dev.heddle.parallel.mesh.Axis}): which ranks together hold one weight
 * matrix (TP), one sequence (CP), one set of experts (EP), one batch (DP), one chain of layers
 * (PP).
 *
 * <p>Every component of a model has a mesh of its own. Two meshes may cover the same ranks with
 * other axes, share some ranks, or share none; nothing here assumes any of these. Groups of ranks
 * along some axes come out in one fixed order on every rank, so that a group can be named by its
 * list of ranks without anybody agreeing on it first.
 *
 * <p>Words: an <em>axis</em> is a direction of the mesh, a <em>dim</em> a dimension of a tensor.
 */
package dev.heddle.parallel.mesh;
