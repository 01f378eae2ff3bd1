/**
 * Data parallelism: ranks that hold the same parameters and see other samples sum their gradients
 * ({@link dev.heddle.parallel.data.GradientReduction}).
 */
package dev.heddle.parallel.data;
