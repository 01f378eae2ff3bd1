/**
 * What each rank does in a training step, as data.
 *
 * <p>A {@link dev.heddle.parallel.pipeline.Schedule} is one list of {@link
 * dev.heddle.parallel.pipeline.Instruction}s for each rank. It is built from the component graph,
 * checked by {@link dev.heddle.parallel.pipeline.ScheduleCheck} (it ends, under the strictest
 * machine), printed, and only then walked by the runner in {@code parallel.component}.
 */
package dev.heddle.parallel.pipeline;
