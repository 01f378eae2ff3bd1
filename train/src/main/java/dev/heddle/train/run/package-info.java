/**
 * A training run from configuration to results.
 *
 * <p>{@link dev.heddle.train.run.TrainingRun} starts the ranks; each is a {@code RankTrainer} that
 * loads its samples, walks its instruction list and takes part in checkpoints. {@link
 * dev.heddle.train.run.Captioner} writes captions with a trained model, {@link
 * dev.heddle.train.run.Evaluation} scores them beside the caption prior.
 *
 * <p>{@code RunPlan} is all that is known of a run before it runs. Two parts of it come from
 * running the rank's own programs where arrays have no bytes, on {@code BlankSamples} and in a
 * {@code PaperGroup}: {@code MemoryForecast}, and {@code StepForecast} with {@code LeastTraffic}
 * beside it.
 */
package dev.heddle.train.run;
