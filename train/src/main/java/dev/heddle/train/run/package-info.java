/**
 * A training run from configuration to results.
 *
 * <p>{@link dev.heddle.train.run.TrainingRun} starts the ranks; each is a {@code RankTrainer} that
 * loads its samples, walks its instruction list and takes part in checkpoints. {@link
 * dev.heddle.train.run.Captioner} writes captions with a trained model, {@link
 * dev.heddle.train.run.Evaluation} scores them beside the caption prior.
 */
package dev.heddle.train.run;
