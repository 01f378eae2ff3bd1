/**
 * What each rank does in a training step, as data.
 *
 * <p>A {@link dev.heddle.parallel.pipeline.PipelineGraph} says which components there are, how they
 * are cut into stages and joined, and what stages cost. A {@link
 * dev.heddle.parallel.pipeline.Schedule} is one list of {@link
 * dev.heddle.parallel.pipeline.Instruction}s for each rank. It is made for any such graph by one
 * method, list scheduling: the step is run on paper, and what a rank prefers where it has a choice,
 * and how many microbatches it may have under way, is what makes it GPipe, 1F1B, interleaved or
 * zero-bubble ({@link dev.heddle.parallel.pipeline.ScheduleKind}). So branches of unequal depth
 * warm up by their distance to the loss, and the work of encoders that share ranks with a pipelined
 * language model goes into its bubbles.
 *
 * <p>{@link dev.heddle.parallel.pipeline.ScheduleCheck} proves that it ends, on the strictest
 * machine; {@link dev.heddle.parallel.pipeline.ScheduleTimeline} says how long it takes, how much
 * of it are bubbles, and how many microbatches are alive; the runner in {@code parallel.component}
 * walks it.
 */
package dev.heddle.parallel.pipeline;
