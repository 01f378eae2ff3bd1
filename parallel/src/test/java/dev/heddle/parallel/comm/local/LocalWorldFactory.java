package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.World;

/** The world of threads, for the conformance suite. */
public final class LocalWorldFactory {
  private LocalWorldFactory() {}

  public static World world() {
    return (rankCount, timeout, program) ->
        LocalWorld.builder(rankCount).timeout(timeout).run(program);
  }
}
