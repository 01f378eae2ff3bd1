package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import dev.heddle.parallel.comm.support.TimeLimit;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** One run of a {@link LocalWorld}: its ranks, their groups, and the first rank to fail. */
final class LocalRun {
  /** A rank's failure, in the order in which they came. */
  record RankFailure(int rank, Throwable thrown) {}

  private final String name;
  final TimeLimit timeout;
  private final LocalRank[] ranks;
  private final Map<GroupIdentity, LocalGroup> groups = new HashMap<>();
  private final List<RankFailure> rankFailures = new ArrayList<>();
  private volatile @Nullable Failure failure;
  private volatile boolean someRankEnded;

  LocalRun(String name, int rankCount, Duration timeout) {
    this.name = name;
    this.timeout = TimeLimit.of(timeout);
    this.ranks = new LocalRank[rankCount];
    for (int i = 0; i < rankCount; i++) {
      ranks[i] = new LocalRank(this, i, rankCount);
    }
  }

  LocalRank rank(int globalRank) {
    return ranks[globalRank];
  }

  /** The group of that name and ranks, made at the first call. */
  LocalGroup group(GroupIdentity identity) {
    synchronized (groups) {
      return groups.computeIfAbsent(identity, key -> new LocalGroup(this, key));
    }
  }

  /** Runs one rank on the calling thread, to its end. */
  void runRank(int globalRank, RankProgram program) {
    LocalRank rank = ranks[globalRank];
    rank.begin();
    try {
      List<Integer> all = IntStream.range(0, ranks.length).boxed().toList();
      LocalGroup world = group(new GroupIdentity(name, all));
      LocalCommunicator communicator = new LocalCommunicator(world, rank);
      rank.communicators.put(world, communicator);
      program.run(communicator);
    } catch (Throwable thrown) {
      stop(globalRank, thrown);
    } finally {
      rank.end();
      someRankEnded = true;
      signalAll();
    }
  }

  /** Stops all ranks because one failed, which counts once; the first is the reason. */
  void stop(int globalRank, Throwable thrown) {
    synchronized (rankFailures) {
      for (RankFailure known : rankFailures) {
        if (known.rank() == globalRank) {
          return;
        }
      }
      rankFailures.add(new RankFailure(globalRank, thrown));
      if (failure == null) {
        failure =
            new Failure(
                Failure.Kind.STOPPED,
                "stopped because rank " + globalRank + " failed: " + thrown,
                thrown);
      }
    }
    signalAll();
  }

  private void signalAll() {
    for (LocalRank rank : ranks) {
      rank.signal();
    }
  }

  @Nullable Failure failure() {
    return failure;
  }

  boolean someRankEnded() {
    return someRankEnded;
  }

  List<RankFailure> rankFailures() {
    synchronized (rankFailures) {
      return List.copyOf(rankFailures);
    }
  }

  /** What some rank posted and nobody completed; null if nothing. */
  @Nullable String leftOver() {
    synchronized (groups) {
      for (LocalGroup group : groups.values()) {
        String left = group.leftOver();
        if (left != null) {
          return left;
        }
      }
    }
    return null;
  }
}
