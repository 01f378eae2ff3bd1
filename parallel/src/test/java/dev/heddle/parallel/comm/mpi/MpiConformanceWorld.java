package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.World;
import java.time.Duration;
import java.util.List;
import org.opentest4j.TestAbortedException;

/**
 * The world of processes, for the conformance suite: every process runs the same tests in the same
 * order, so that all come to the same runs. A case belongs to the job whose number of processes is
 * the smallest that holds it; so the jobs together run every case once.
 */
public final class MpiConformanceWorld implements World {
  /** The numbers of processes that the suite runs with. */
  public static final List<Integer> SIZES = List.of(2, 3, 4, 8);

  private static MpiConformanceWorld instance;

  private final MpiProcess process;
  private final long chunkBytes;

  private MpiConformanceWorld(MpiProcess process, long chunkBytes) {
    this.process = process;
    this.chunkBytes = chunkBytes;
  }

  /**
   * Makes the world of a started process.
   *
   * @param chunkBytes the most bytes of one message
   */
  public static void open(MpiProcess process, long chunkBytes) {
    instance = new MpiConformanceWorld(process, chunkBytes);
  }

  /** The world of this process. */
  public static MpiConformanceWorld instance() {
    return instance;
  }

  @Override
  public void run(int rankCount, Duration timeout, RankProgram program) {
    int home = SIZES.stream().filter(size -> size >= rankCount).findFirst().orElseThrow();
    if (home != process.size()) {
      throw new TestAbortedException(rankCount + " ranks are for a job of " + home);
    }
    if (!process.run(rankCount, "world", timeout, chunkBytes, program)) {
      throw new TestAbortedException("this process is not one of " + rankCount);
    }
  }

  @Override
  public List<Integer> ranksHere(int rankCount) {
    return List.of(process.rank());
  }
}
