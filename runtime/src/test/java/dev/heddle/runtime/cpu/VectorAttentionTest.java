package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The blocks of {@link VectorAttention} at random sizes, multiplied in Java and by machine code
 * where that runs, against {@link ReferenceKernels}.
 */
class VectorAttentionTest {
  private static final long SEED = Long.getLong("heddle.seed", 20261122);
  private static final int[] LENGTHS = {1, 3, 17, 64, 65, 100, 196};
  private static final int[] HEAD_SIZES = {4, 8, 20, 64};

  /** q, k, v, dout as values; the results of both passes as values. */
  private record Problem(
      int queries, int keys, int heads, int keyHeads, int headSize, AttentionMask mask) {
    float[][] run(CpuDevice device, float[][] values) {
      try (MemoryScope scope = MemoryScope.open()) {
        Shape queryShape = Shape.of(2, queries, heads, headSize);
        // Keys and values are the two parts of one packed array, and so are their gradients.
        Shape packedShape = Shape.of(2, keys, 2 * keyHeads, headSize);
        NDArray q = NDArray.of(device, queryShape, values[0]);
        NDArray packed = NDArray.of(device, packedShape, values[1]);
        NDArray dout = NDArray.of(device, queryShape, values[2]);
        NDArray out = NDArray.full(device, DType.F32, queryShape, Double.NaN);
        NDArray logSumExp = NDArray.full(device, DType.F32, Shape.of(2, heads, queries), 7);
        NDArray dq = NDArray.full(device, DType.F32, queryShape, Double.NaN);
        NDArray dpacked = NDArray.full(device, DType.F32, packedShape, Double.NaN);
        NDArray k = packed.slice(2, 0, keyHeads);
        NDArray v = packed.slice(2, keyHeads, 2 * keyHeads);
        NDArray dk = dpacked.slice(2, 0, keyHeads);
        NDArray dv = dpacked.slice(2, keyHeads, 2 * keyHeads);
        double scale = 1 / Math.sqrt(headSize);
        q.kernels().attention(q, k, v, mask, scale, out, logSumExp);
        q.kernels().attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv);
        float[][] results = {
          out.toFloats(), logSumExp.toFloats(), dq.toFloats(), dpacked.toFloats()
        };
        scope.clear();
        return results;
      }
    }

    float[][] values(Random random) {
      int queryCount = 2 * queries * heads * headSize;
      return new float[][] {
        normal(random, queryCount),
        normal(random, 4 * keys * keyHeads * headSize),
        normal(random, queryCount)
      };
    }

    private static float[] normal(Random random, int count) {
      float[] values = new float[count];
      for (int i = 0; i < count; i++) {
        values[i] = (float) random.nextGaussian();
      }
      return values;
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = CpuBackend.class,
      names = {"VECTOR", "BEST"})
  void attentionAndBackward_randomSizesHeadsAndMasks_matchTheReference(CpuBackend backend) {
    Random random = new Random(SEED);
    try (CpuDevice one = CpuDevice.open("one", 1, backend);
        CpuDevice two = CpuDevice.open("two", 2, backend);
        CpuDevice control = CpuDevice.open("control", 1, CpuBackend.REFERENCE)) {
      for (int i = 0; i < 40; i++) {
        Problem problem = problem(random);
        float[][] values = problem.values(random);
        float[][] got = problem.run(one, values);
        float[][] wanted = problem.run(control, values);
        String what = problem + ", replay with -Dheddle.seed=" + SEED;
        for (int array = 0; array < got.length; array++) {
          compare(got[array], wanted[array], what + ", result " + array);
        }
        assertThat(problem.run(two, values)).as("two threads, " + what).isDeepEqualTo(got);
      }
    }
  }

  @Test
  void blocks_areOfMachineCodeWhereThatRuns_andOnlyIfAskedFor() {
    assertThat(AttentionBlocks.of(false)).isInstanceOf(VectorAttentionBlocks.class);
    Class<?> wanted =
        CpuBackend.hasMachineCode() ? MachineAttentionBlocks.class : VectorAttentionBlocks.class;
    assertThat(AttentionBlocks.of(CpuBackend.hasMachineCode())).isInstanceOf(wanted);
  }

  private static Problem problem(Random random) {
    int keyHeads = 1 + random.nextInt(3);
    AttentionMask mask =
        random.nextInt(3) == 0
            ? AttentionMask.FULL
            : new AttentionMask(true, random.nextInt(80), random.nextInt(80));
    return new Problem(
        LENGTHS[random.nextInt(LENGTHS.length)],
        LENGTHS[random.nextInt(LENGTHS.length)],
        keyHeads * (1 + random.nextInt(3)),
        keyHeads,
        HEAD_SIZES[random.nextInt(HEAD_SIZES.length)],
        mask);
  }

  private static void compare(float[] got, float[] wanted, String what) {
    for (int i = 0; i < wanted.length; i++) {
      if (Float.isInfinite(wanted[i])) {
        assertThat(got[i]).as(what + ", element " + i).isEqualTo(wanted[i]);
      } else {
        assertThat(got[i])
            .as(what + ", element " + i)
            .isCloseTo(wanted[i], within(1e-4f * (1 + Math.abs(wanted[i]))));
      }
    }
  }
}
