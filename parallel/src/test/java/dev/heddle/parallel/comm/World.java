package dev.heddle.parallel.comm;

import java.time.Duration;
import java.util.List;

/** A way to run ranks: what the conformance suite needs of an implementation. */
public interface World {
  /** A time-out that no test is meant to reach. */
  Duration PATIENT = Duration.ofSeconds(60);

  /** Runs {@code program} on {@code rankCount} ranks, failing when any of them fails. */
  void run(int rankCount, Duration timeout, RankProgram program);

  /** The program of {@code body} with a device of the kind that this world's ranks have. */
  default RankProgram program(RankBody body) {
    return body.program();
  }

  /** The ranks of such a run that are in this process; others run elsewhere. */
  List<Integer> ranksHere(int rankCount);
}
