/**
 * Context parallelism: ranks that divide the positions of sequences compute attention together, by
 * one of the {@link dev.heddle.parallel.context.ContextMethod}s.
 */
package dev.heddle.parallel.context;
