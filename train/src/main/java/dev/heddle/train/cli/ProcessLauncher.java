package dev.heddle.train.cli;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.mpi.MpiProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** This process's rank among those that {@code mpirun} has started; made while they run. */
final class ProcessLauncher implements RankLauncher {
  private final Communicator world;
  private final int processesOnThisHost;
  private final int place;
  private final int sharers;
  private final int placeOnHost;

  /**
   * The rank of this process. All processes call it together.
   *
   * @param world the ranks of all processes
   */
  ProcessLauncher(MpiProcess process, Communicator world) {
    this.world = world;
    this.processesOnThisHost = process.ranksOnThisHost();
    // Those who may use the same cores share them; processes bound to other cores do not.
    long[][] all = world.allGather(new long[] {process.firstRankOnThisHost(), coresInUse()});
    long[] own = all[world.rank()];
    int before = 0;
    int together = 0;
    int beforeOnHost = 0;
    for (int i = 0; i < all.length; i++) {
      beforeOnHost += i < world.rank() && all[i][0] == own[0] ? 1 : 0;
      if (all[i][0] == own[0] && all[i][1] == own[1]) {
        before += i < world.rank() ? 1 : 0;
        together++;
      }
    }
    this.place = before;
    this.sharers = together;
    this.placeOnHost = beforeOnHost;
  }

  /** A number that is the same for processes that are bound to the same cores. */
  private static long coresInUse() {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) {
      return 0;
    }
    try (Stream<String> lines = Files.lines(status)) {
      return lines
          .filter(line -> line.startsWith("Cpus_allowed_list:"))
          .mapToLong(String::hashCode)
          .findFirst()
          .orElse(0);
    } catch (IOException unreadable) {
      return 0;
    }
  }

  @Override
  public boolean hasFirstRank() {
    return world.rank() == 0;
  }

  @Override
  public String rankInWords() {
    int cores = Runtime.getRuntime().availableProcessors();
    String bound =
        sharers < processesOnThisHost
            ? ", bound to " + cores + (cores == 1 ? " core" : " cores")
            : "";
    return "a process" + bound + " (" + processesOnThisHost + " of them on rank 0's host)";
  }

  @Override
  public void run(int ranks, RankProgram program) {
    try {
      program.run(world);
    } catch (RuntimeException unchecked) {
      throw unchecked;
    } catch (Exception checked) {
      throw new RankFailedException(world.rank(), checked);
    }
  }

  @Override
  public int placeOnHost(int rank) {
    return placeOnHost;
  }

  @Override
  public int threads(int rank, int ranks) {
    return ThreadLauncher.share(Runtime.getRuntime().availableProcessors(), place, sharers);
  }
}
