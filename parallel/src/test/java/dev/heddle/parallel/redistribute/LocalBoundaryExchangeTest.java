package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.comm.World;
import dev.heddle.parallel.comm.local.LocalWorldFactory;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The laws of the boundary over threads. */
class LocalBoundaryExchangeTest extends BoundaryExchangeConformance {
  @Override
  protected World world() {
    return LocalWorldFactory.world();
  }

  @Override
  protected List<Integer> worldSizes() {
    return List.of(24);
  }

  @Override
  protected int pairs() {
    return 500;
  }

  @Override
  protected @Nullable Long onlySeed() {
    return Long.getLong("heddle.seed");
  }
}
