package dev.heddle.train.cli;

import dev.heddle.train.config.RunConfig;

/**
 * What {@code heddle plan} was asked for.
 *
 * @param config the checked configuration
 * @param launches whether what a step asks of each rank's GPU is counted too
 * @param json whether to print one JSON document for programs instead of text for people
 */
public record PlanRequest(RunConfig config, boolean launches, boolean json) {}
