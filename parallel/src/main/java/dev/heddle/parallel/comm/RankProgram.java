package dev.heddle.parallel.comm;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.function.Function;

/** What each rank runs. */
@FunctionalInterface
public interface RankProgram {
  /**
   * Runs one rank to its end.
   *
   * @param world the group of all ranks, this one included; used by this thread only
   * @throws Exception to stop all ranks
   */
  void run(Communicator world) throws Exception;

  /** What each rank runs on a device of its own, which is open while it runs. */
  @FunctionalInterface
  interface OnDevice<D extends Device> {
    /**
     * Runs one rank to its end, inside an open {@link MemoryScope}.
     *
     * @param world the group of all ranks, this one included; used by this thread only
     * @param device the rank's own; closed by who opened it
     * @throws Exception to stop all ranks
     */
    void run(Communicator world, D device) throws Exception;
  }

  /**
   * The program that opens a device for its rank, runs {@code body} inside a memory scope, and
   * closes both. If {@code body} throws, the communicator is {@linkplain Communicator#abort
   * aborted} first: messages under way must have let go of the device's memory before that is given
   * back.
   *
   * @param opener opens the device of the rank that it is handed the world of
   */
  @SuppressWarnings("try") // the scope is there to be open
  static <D extends Device> RankProgram onDevice(
      Function<Communicator, D> opener, OnDevice<? super D> body) {
    return world -> {
      try (D device = opener.apply(world);
          MemoryScope scope = MemoryScope.open()) {
        try {
          body.run(world, device);
        } catch (Throwable thrown) {
          world.abort(thrown);
          throw thrown;
        }
      }
    };
  }
}
