/**
 * What every rank did when, as a file for Perfetto or Chrome's trace viewer.
 *
 * <p>A run is traced by giving it a {@link dev.heddle.parallel.trace.TracingCommunicator} as its
 * world: that records each operation of the world and its subgroups, and carries the rank's {@link
 * dev.heddle.parallel.trace.TraceRecorder}, to which whoever computes adds spans of its own. A run
 * that is not traced pays a null check. {@link dev.heddle.parallel.trace.TraceFile} merges the
 * ranks' records in the end: a process a rank, in it a track for what the rank's thread does (spans
 * nest) and tracks for what is under way between ranks, with arrows from send to receive.
 */
package dev.heddle.parallel.trace;
