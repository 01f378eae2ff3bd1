package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.runtime.cuda.CudaDevice;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Makes a rank's communicator one of GPUs. It is laid over a control communicator of the same
 * ranks, which are threads of one process with a GPU each:
 *
 * <pre>{@code
 * LocalWorld.run(2, ranks -> {
 *   try (CudaDevice device = CudaDevice.open(ranks.rank());
 *       MemoryScope scope = MemoryScope.open()) {
 *     NcclWorld.run(ranks, device, world -> {
 *       NDArray gradient = NDArray.full(device, DType.F32, Shape.of(3), world.rank() + 1);
 *       world.allReduce(gradient, ReduceOp.SUM).await();
 *       // Both GPUs will hold [3, 3, 3]; the host has not waited for it.
 *     });
 *   }
 * });
 * }</pre>
 *
 * <p>or processes, with {@code MpiWorld} in place of {@code LocalWorld}. What differs from the
 * other communicators:
 *
 * <ul>
 *   <li>{@code await} returns before the GPU is done; what the device is given next comes after. An
 *       operation that fails later says so at the next call, or when the host next waits for the
 *       device.
 *   <li>{@link Communicator#subgroup} returns when all members of the new group have called it.
 *       Ranks ask for the groups that they have in common in the same order.
 *   <li>Sums of floating-point numbers have NCCL's order and rounding.
 *   <li>Both ends of a message are on GPUs, or both in main memory.
 * </ul>
 */
public final class NcclWorld {
  /** How long an operation may take, from its call to its end, unless a run says otherwise. */
  public static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(5);

  private NcclWorld() {}

  /**
   * Runs this rank's part of {@code program} with the default time-out; see {@link
   * #run(Communicator, CudaDevice, Duration, RankProgram)}.
   */
  public static void run(Communicator control, CudaDevice device, RankProgram program)
      throws Exception {
    run(control, device, DEFAULT_TIMEOUT, program);
  }

  /**
   * Runs {@code program} with a communicator of the GPUs of all ranks of {@code control}, each of
   * which calls this with a GPU of its own. Returns when this rank's program has ended and so has
   * its communication; the device stays open.
   *
   * @throws IllegalStateException if NCCL is absent, with every name tried and what to do, or too
   *     old
   * @throws Exception what {@code program} threw, the rank's communication having been aborted
   */
  public static void run(
      Communicator control, CudaDevice device, Duration timeout, RankProgram program)
      throws Exception {
    NcclLibrary.require();
    int globalRank = control.globalRank(control.rank());
    NcclRank rank = new NcclRank(device, globalRank, timeout);
    Watchdog watchdog = Watchdog.start(rank);
    device.prepareWaits(rank::awaitComparisons);
    device.checkAfterWaits(rank::refuseIfFailed);
    boolean ended = false;
    try {
      program.run(NcclCommunicator.meet(control, rank));
      rank.requireAllAwaited();
      finish(rank);
      ended = true;
    } catch (Throwable failure) {
      // First where the run keeps who failed: others hear of it through NCCL at once, and a rank
      // that
      // fails because of that must not be known as the first.
      control.abort(failure);
      String text = "rank " + globalRank + " failed: " + failure;
      watchdog.close(new Failure(Failure.Kind.STOPPED, text, failure));
      rank.groups().forEach(NcclGroup::abort);
      throw failure;
    } finally {
      device.prepareWaits(null);
      device.checkAfterWaits(null);
      watchdog.close();
      close(rank, ended);
    }
  }

  /** Waits for what is under way, and then ends the groups, in the order that all ranks have. */
  private static void finish(NcclRank rank) {
    List<NcclGroup> groups = rank.groups();
    rank.awaitComparisons();
    for (NcclGroup group : groups) {
      group.ended();
    }
    for (NcclGroup group : groups) {
      group.drain();
      group.refuseIfFailed();
    }
    for (NcclGroup group : groups.reversed()) {
      group.destroy();
    }
  }

  private static void close(NcclRank rank, boolean ended) {
    List<Runnable> ends = new ArrayList<>();
    ends.add(rank::releaseOpen);
    rank.groups().forEach(group -> ends.add(group::close));
    for (Runnable end : ends) {
      try {
        end.run();
      } catch (RuntimeException failure) {
        if (ended) {
          throw failure;
        }
        // The program's own failure says more than a lost context does.
        System.getLogger("dev.heddle.parallel.comm.nccl")
            .log(System.Logger.Level.DEBUG, "closing after a failure", failure);
      }
    }
  }

  /** The library's version in words, such as {@code NCCL 2.29.7}; empty without one. */
  public static Optional<String> libraryVersion() {
    return NcclLibrary.describe();
  }
}
