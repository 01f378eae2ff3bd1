package dev.heddle.simulated.simt;

/**
 * What a launch did.
 *
 * @param blocks that ran
 * @param warpInstructions executed, each counted once for its warp
 * @param threadInstructions executed, each counted for every thread that took part
 * @param bytesRead bytes of device memory that were read, each counted once; 0 unless asked for
 * @param bytesWritten bytes of device memory that were written, each counted once; 0 unless asked
 *     for
 */
public record LaunchReport(
    long blocks,
    long warpInstructions,
    long threadInstructions,
    long bytesRead,
    long bytesWritten) {}
