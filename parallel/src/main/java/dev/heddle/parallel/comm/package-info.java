/**
 * Groups of ranks that move and combine arrays.
 *
 * <p>Start with {@link dev.heddle.parallel.comm.Communicator}: collectives, each returning a {@link
 * dev.heddle.parallel.comm.Handle}, and {@link dev.heddle.parallel.comm.Communicator#exchange},
 * grouped point-to-point {@link dev.heddle.parallel.comm.Message}s that pick rows of matrices so
 * that nothing is packed. {@link dev.heddle.parallel.comm.Communicator#subgroup} makes the groups
 * of a mesh's axes.
 *
 * <p>Misuse does not hang: an operation knows its group, so a {@link
 * dev.heddle.parallel.comm.CommunicationTimeoutException} names the ranks that did not come and
 * what they last did, and a {@link dev.heddle.parallel.comm.CommunicationMismatchException} what
 * each rank called. When one rank throws, the others are stopped; a program that opens its device
 * by {@link dev.heddle.parallel.comm.RankProgram#onDevice} lets go of its messages first.
 *
 * <p>Reductions have a fixed order: the same group gives the same bits. {@link
 * dev.heddle.parallel.comm.CommunicationStatistics} counts operations and bytes, so that tests can
 * state what a layer communicates.
 *
 * <p>{@link dev.heddle.parallel.comm.local} is the implementation whose ranks are threads of one
 * JVM, {@link dev.heddle.parallel.comm.mpi} the one whose ranks are processes.
 */
package dev.heddle.parallel.comm;
