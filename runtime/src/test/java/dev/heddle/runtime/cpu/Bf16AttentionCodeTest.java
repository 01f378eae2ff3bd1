package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Attention in bf16 by machine code against the F32 kernels on the same values: sizes that fill no
 * panel and no pair, heads that share keys, causal masks that begin anywhere.
 */
class Bf16AttentionCodeTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);
  private static final int ROUNDS = 24;

  private static NDArray normal(CpuDevice device, RandomKey key, long... dims) {
    NDArray x = NDArray.empty(device, DType.BF16, dims);
    x.kernels().randomNormal(key, GlobalIndex.whole(x.shape()), 0, 1, x);
    return x;
  }

  private record Case(Shape queries, Shape keys, AttentionMask mask, double scale) {
    static Case random(Random random, int round) {
      long heads = 1 + random.nextInt(2);
      long group = 1 + random.nextInt(3);
      long size = 2L * (8 + random.nextInt(25));
      long queries = 40 + random.nextInt(120);
      long keys = round % 3 == 0 ? queries : 40 + random.nextInt(120);
      AttentionMask mask =
          round % 2 == 0
              ? AttentionMask.FULL
              : new AttentionMask(true, random.nextInt(60), random.nextInt(30));
      return new Case(
          Shape.of(2, queries, heads * group, size),
          Shape.of(2, keys, heads, size),
          round % 3 == 0 && round % 2 != 0 ? AttentionMask.CAUSAL : mask,
          1 / Math.sqrt(size));
    }
  }

  /** Output, log-sum-exp and the three gradients, for the values in one type. */
  private static List<double[]> run(Case c, int threads, DType dtype) {
    List<double[]> results = new ArrayList<>();
    try (CpuDevice device = CpuDevice.open("cpu:attention", threads, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      RandomKey key = RandomKey.of(SEED, "attention");
      NDArray q = normal(device, key.with(1), c.queries.toArray()).cast(dtype);
      NDArray k = normal(device, key.with(2), c.keys.toArray()).cast(dtype);
      NDArray v = normal(device, key.with(3), c.keys.toArray()).cast(dtype);
      NDArray dout = normal(device, key.with(4), c.queries.toArray()).cast(dtype);
      NDArray out = NDArray.empty(device, dtype, c.queries.toArray());
      long[] statistic = {c.queries.dim(0), c.queries.dim(2), c.queries.dim(1)};
      NDArray logSums = NDArray.empty(device, DType.F32, statistic);
      NDArray dq = NDArray.empty(device, dtype, c.queries.toArray());
      NDArray dk = NDArray.empty(device, dtype, c.keys.toArray());
      NDArray dv = NDArray.empty(device, dtype, c.keys.toArray());
      q.kernels().attention(q, k, v, c.mask, c.scale, out, logSums);
      q.kernels().attentionBackward(q, k, v, out, logSums, dout, c.mask, c.scale, dq, dk, dv);
      for (NDArray result : List.of(out, logSums, dq, dk, dv)) {
        results.add(result.toDoubles());
      }
    }
    return results;
  }

  @Test
  void attention_isThatOfTheF32Kernels_forAnyThreads() {
    assumeTrue(CpuBackend.hasMachineCode(), "this is not Linux on a processor with AVX-512");
    System.out.println("Bf16AttentionCodeTest: -Dheddle.seed=" + SEED);
    Random random = new Random(SEED);
    for (int round = 0; round < ROUNDS; round++) {
      Case c = Case.random(random, round);
      List<double[]> wanted = run(c, 1, DType.F32);
      List<double[]> got = run(c, 1, DType.BF16);
      for (int i = 0; i < wanted.size(); i++) {
        // Probabilities and their gradients are rounded to 8 bits before up to 160 are added.
        double[] exact = wanted.get(i);
        double size = 0;
        for (double value : exact) {
          size = Math.max(size, Double.isInfinite(value) ? 0 : Math.abs(value));
        }
        assertThat(got.get(i)).as("%s of %s", i, c).containsExactly(exact, within(0.02 * size));
      }
      List<double[]> shared = run(c, 3, DType.BF16);
      for (int i = 0; i < wanted.size(); i++) {
        assertThat(shared.get(i)).as("%s of %s", i, c).containsExactly(got.get(i));
      }
    }
  }
}
