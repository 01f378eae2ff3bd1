package dev.heddle.parallel.data;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.nn.Initializer;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.ops.Sum;
import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import org.junit.jupiter.api.Test;

class GradientReductionTest {
  @Test
  void reduce_sumsOverReplicas_ranksWithoutASampleGivingZeros() {
    LocalWorld.run(
        3,
        world -> {
          try (CpuDevice device =
                  CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE);
              MemoryScope scope = MemoryScope.open()) {
            LocalLayers layers = new LocalLayers(device, DType.F64, 1);
            Parameter used = layers.parameter("used", Shape.of(4), Initializer.ONES);
            Parameter unused = layers.parameter("unused", Shape.of(2, 2), Initializer.ONES);
            GradientReduction reduction = new GradientReduction(world, List.of(used, unused));
            for (int step = 1; step <= 2; step++) {
              try (MemoryScope inside = MemoryScope.open()) {
                if (world.rank() != 1) {
                  for (int i = 0; i < world.rank() + step; i++) {
                    Sum.sum(used.tensor()).backward();
                  }
                }
                reduction.reduce();
              }
              // A sum and no mean: (0 + step) + (2 + step), nothing of rank 1.
              assertThat(used.tensor().gradientOrZeros().toDoubles()).containsOnly(2 + 2 * step);
              assertThat(unused.tensor().gradientOrZeros().toDoubles()).containsOnly(0);
              used.tensor().clearGradient();
              unused.tensor().clearGradient();
            }
            assertThat(world.statistics().count(CommunicationKind.ALL_REDUCE)).isEqualTo(4);
          }
        });
  }
}
