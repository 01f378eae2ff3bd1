/**
 * Proofs that cross modules: a small captioning model trained under many layouts.
 *
 * <p>{@link dev.heddle.parity.Experiment} trains it on made-up pictures and captions under one
 * {@link dev.heddle.parity.Layouts layout} and records every step and, at the end, every weight as
 * rank 0 gathers it and as each rank holds it. {@link dev.heddle.parity.Outcome} compares two of
 * them. The control is always the same model on a single rank.
 *
 * <p>The sizes are chosen so that nothing divides: 4 heads, 23 words, 5 samples.
 */
package dev.heddle.parity;
