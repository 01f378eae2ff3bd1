package dev.heddle.train.cli;

import dev.heddle.train.config.RunConfig;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What {@code heddle train} was asked for.
 *
 * @param config the checked configuration; its {@code train.steps} is the length of the
 *     learning-rate schedule
 * @param lastStep the step to stop after, at most {@code train.steps}; a run that stopped earlier
 *     and is resumed has the same losses as one that did not stop
 * @param metrics the file for the metrics of each step
 * @param resume the checkpoint to go on from, or a folder with checkpoints
 * @param trace the file for what every rank did when
 * @param device what the ranks compute on
 * @param graph whether devices record a step and repeat it
 */
public record TrainRequest(
    RunConfig config,
    int lastStep,
    Path metrics,
    Optional<Path> resume,
    Optional<Path> trace,
    DeviceKind device,
    boolean graph) {}
