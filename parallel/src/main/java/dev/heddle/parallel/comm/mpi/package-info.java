/**
 * Ranks as processes that {@code mpirun} starts, over Open MPI.
 *
 * <p>{@link dev.heddle.parallel.comm.mpi.MpiWorld} runs a rank program, {@link
 * dev.heddle.parallel.comm.mpi.MpiProcess} is this process among the others. What ranks send each
 * other are parcels: a header that says to which call the elements belong and what the sender
 * thinks that call is, then the elements ({@code Transport}). The receiver hands them to their
 * calls, so groups cost nothing to make, and a call that does not fit another rank's is found
 * before a byte is written. In a collective every member sends one parcel to every other one, so
 * that all hear of all; reductions are formed by {@link dev.heddle.parallel.comm.support.Reducer}
 * in member order ({@code CollectivePlan}), bit for bit as among threads.
 *
 * <p>Beside MPI each process holds one connection to a hub in that of rank 0 ({@code ControlLink},
 * {@code ControlHub}). Over it ranks tell each other that they have failed or ended, ask those that
 * do not come where they are, while those compute, and notice at once when a process is gone.
 *
 * <p>MPI makes progress only while it is called: by {@code await}, {@code isDone}, and every new
 * call. Only the thread that started it may use it.
 */
package dev.heddle.parallel.comm.mpi;
