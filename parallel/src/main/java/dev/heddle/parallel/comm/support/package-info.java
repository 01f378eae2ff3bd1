/**
 * What the implementations of {@link dev.heddle.parallel.comm.Communicator} share, and nobody else
 * sees.
 *
 * <p>{@link dev.heddle.parallel.comm.support.CheckedCommunicator} refuses senseless arguments and
 * counts; {@link dev.heddle.parallel.comm.support.CollectiveArguments} is a call as data,
 * comparable between ranks and printable. {@link dev.heddle.parallel.comm.support.RunCursor} walks
 * views as runs of contiguous memory, and {@link dev.heddle.parallel.comm.support.Reducer} combines
 * them in member order, so that every implementation gives the same bits.
 */
package dev.heddle.parallel.comm.support;
