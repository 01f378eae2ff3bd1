package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.comm.World;
import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;
import java.util.List;

/** The laws of the boundary over processes; {@code MpiConformanceMain} runs it. */
public final class MpiBoundaryExchangeSuite extends BoundaryExchangeConformance {
  @Override
  protected World world() {
    return MpiConformanceWorld.instance();
  }

  @Override
  protected List<Integer> worldSizes() {
    return MpiConformanceWorld.SIZES;
  }

  @Override
  protected int pairs() {
    return 60;
  }
}
