/**
 * Differentiable operators: one file each, forward with its backward directly below.
 *
 * <p>An operator is a static function on {@link dev.heddle.autograd.Tensor}s, so that model code
 * reads as mathematics: {@code gelu(linear(x, w, b))}. It allocates its result, calls one primitive
 * of {@link dev.heddle.runtime.Kernels} (a few call two), and records a node that holds only what
 * the gradients that are needed will read. The head of each file gives the shapes and the
 * derivatives that its backward computes.
 *
 * <p>Arguments may have any strides, and so may gradients; views ({@link dev.heddle.ops.Reshape},
 * {@link dev.heddle.ops.Transpose}, {@link dev.heddle.ops.Slice}) copy nothing. A few arrays never
 * have gradients and are passed as {@link dev.heddle.runtime.NDArray}: token ids, row numbers,
 * targets, angles.
 *
 * <p>Nothing here communicates or knows of other ranks; operators that do are in the module {@code
 * parallel} and are nodes in the same way.
 */
package dev.heddle.ops;
