/**
 * Ranks as threads of one JVM: the default on any laptop, and in every test.
 *
 * <p>{@link dev.heddle.parallel.comm.local.LocalWorld} starts a thread for each rank and hands it
 * its communicator. Ranks share an address space, so nothing is packed and nothing is staged: in a
 * collective each rank does one share of the work on everybody's memory (for an all-reduce it sums
 * one slice over all ranks and writes it to all), and a message is copied straight from where it is
 * to where it goes, by whichever end comes first to wait for it.
 *
 * <p>Memory stays its rank's: other threads read and write an array's bytes only between the post
 * and the completion of an operation that names it.
 *
 * <p>A rank that waits spins briefly while every rank has a core of its own, then parks. A wait
 * ends when the operation completes, a rank fails, a rank that is needed has ended, or the time is
 * up.
 */
package dev.heddle.parallel.comm.local;
