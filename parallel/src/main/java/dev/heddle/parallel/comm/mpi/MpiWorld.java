package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.RankStoppedException;
import java.time.Duration;
import java.util.Optional;

/**
 * Runs ranks as processes, which {@code mpirun} starts. Each of them calls this with the same
 * program; the program gets this process's communicator of all ranks:
 *
 * <pre>{@code
 * // mpirun -n 2 --bind-to none java ...
 * MpiWorld.run(RankProgram.onDevice(
 *     world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.BEST),
 *     (world, device) -> {
 *       NDArray gradient = NDArray.full(device, DType.F32, Shape.of(3), world.rank() + 1);
 *       world.allReduce(gradient, ReduceOp.SUM).await();
 *       // Both ranks now hold [3, 3, 3].
 *     }));
 * }</pre>
 *
 * <p>When one rank throws, the others are stopped: what they wait for, and whatever they
 * communicate next, throws {@link RankStoppedException}. Ranks that compute on are interrupted
 * after a second. Started without {@code mpirun} there is one rank.
 */
public final class MpiWorld {
  /** How long an operation may wait for other ranks unless a run says otherwise. */
  public static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(5);

  private MpiWorld() {}

  /**
   * Runs this process's rank and returns when the ranks of all processes have ended; see {@link
   * MpiProcess#run}. Starts MPI and ends it, unless an {@link MpiProcess} is open already.
   */
  public static void run(RankProgram program) {
    MpiProcess open = MpiProcess.current();
    if (open != null) {
      open.run(DEFAULT_TIMEOUT, program);
      return;
    }
    try (MpiProcess process = MpiProcess.start()) {
      process.run(DEFAULT_TIMEOUT, program);
    }
  }

  /** The MPI library's own words for itself, such as {@code Open MPI v4.1.4}; empty without one. */
  public static Optional<String> libraryVersion() {
    return MpiLibrary.version();
  }
}
