/**
 * Layers: modules with named parameters, made of the functions in {@code dev.heddle.ops}.
 *
 * <p>A {@link dev.heddle.nn.Module} registers {@link dev.heddle.nn.Parameter}s and further modules
 * in its constructor; a parameter is known by its global name and shape, of which a rank may hold
 * one interval along one dim. {@link dev.heddle.nn.Initializer}s draw by name and global index, so
 * every layout starts from the same model.
 *
 * <p>Model code knows no parallelism. The classes here are written for "the heads, units or
 * vocabulary entries that are on this rank", of which there may be all; {@link
 * dev.heddle.nn.Layers} tells which those are ({@code part}) and marks where a value crosses into
 * and out of the split section of a layer ({@code enterParallel}, {@code leaveParallel}). The cut
 * is there, and not at factories for each kind of layer, because splitting changes exactly these:
 * the sizes, two crossings, and the loss over a split vocabulary. A tensor-parallel implementation
 * overrides four methods and inherits every layer; one that gathers a split sequence at the
 * crossings (sequence parallelism) overrides the same ones. A layer that needs more, such as
 * attention over a sequence that is itself split, has its own hook ({@code attention}).
 */
package dev.heddle.nn;
