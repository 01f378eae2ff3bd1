package dev.heddle.parallel.comm;

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
}
