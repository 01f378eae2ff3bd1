package dev.heddle.simulated.simt;

/**
 * What a launch did.
 *
 * @param blocks that ran
 * @param warpInstructions executed, each counted once for its warp
 * @param threadInstructions executed, each counted for every thread that took part
 */
public record LaunchReport(long blocks, long warpInstructions, long threadInstructions) {}
