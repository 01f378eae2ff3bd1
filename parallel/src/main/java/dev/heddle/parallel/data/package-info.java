/**
 * Data parallelism: ranks that hold the same parameters and see other samples sum their gradients
 * in buckets while backward goes on, and may divide the optimizer's state and work among them
 * ({@link dev.heddle.parallel.data.GradientReduction}).
 */
package dev.heddle.parallel.data;
