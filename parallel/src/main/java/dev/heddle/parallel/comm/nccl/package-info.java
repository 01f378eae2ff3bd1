/**
 * Ranks as GPUs, one rank each, that exchange arrays by NCCL.
 *
 * <p>{@link dev.heddle.parallel.comm.nccl.NcclWorld} lays a communicator over a <em>control</em>
 * communicator of the same ranks: threads ({@code local}) or processes ({@code mpi}). Host values,
 * barriers, arrays in main memory, and the meeting at which a group's NCCL identifier is handed out
 * go over the control communicator; arrays of the rank's GPU go over NCCL. So no file, port or
 * environment variable is needed for a rendezvous.
 *
 * <p>Nothing waits on the host. A call packs what is not contiguous on the device's own stream,
 * lets the communication stream wait for that by an event, and gives the transfers to NCCL there;
 * {@code await} lets the device's stream wait for their end, unpacks, and returns. Each group has
 * one NCCL communicator for its collectives and some for messages ({@code NcclGroup} says how many
 * and why), each with a stream of its own, so that independent operations do not wait for each
 * other.
 *
 * <p>Where a kernel of NCCL waits for a rank that does not come, no host call fails. A watchdog
 * thread per rank looks at operations whose time is up, aborts the group's NCCL communicators,
 * which ends the waiting kernels, and leaves the reason for the rank's thread: its next call, its
 * next {@code await}, or the next time it waits for the device throws it. What ranks of the same
 * process called is compared when they call it ({@code GroupBoard}); NCCL itself compares nothing.
 *
 * <p>Integers, and maxima and minima of any type, come out as the other implementations give them.
 * Sums of floating-point numbers are formed in NCCL's order, and those of BF16 are rounded as NCCL
 * rounds them: every rank gets the same bits, but not those of {@code local}.
 */
package dev.heddle.parallel.comm.nccl;
