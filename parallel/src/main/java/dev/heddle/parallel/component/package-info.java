/**
 * A model as a graph of components, each on its own mesh, and the runner that trains it.
 *
 * <p>{@link dev.heddle.parallel.component.ModelGraph} says which components there are, on which
 * meshes, and which boundaries join them; {@link dev.heddle.parallel.component.ComponentProgram} is
 * what a rank computes of a component; {@link dev.heddle.parallel.component.ModelRunner} walks this
 * rank's instruction list.
 *
 * <p>The gradient rule: the loss of a microbatch is the <em>sum</em> over valid tokens, every
 * reduction over ranks is a sum, and every component multiplies by the same 1/N afterwards, N being
 * the number of valid tokens in the global batch. No data-parallel ratio appears anywhere.
 */
package dev.heddle.parallel.component;
