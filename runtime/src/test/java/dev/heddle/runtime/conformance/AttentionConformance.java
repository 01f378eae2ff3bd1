package dev.heddle.runtime.conformance;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.Shape;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Rotary embedding and attention. */
interface AttentionConformance extends Conformance {
  /**
   * One attention problem.
   *
   * @param queries Sq
   * @param keys Sk
   * @param keyHeads Hk
   */
  record Problem(
      int batch,
      int queries,
      int keys,
      int heads,
      int keyHeads,
      int headSize,
      AttentionMask mask,
      Placement placement) {
    Shape queryShape() {
      return Shape.of(batch, queries, heads, headSize);
    }

    Shape keyShape() {
      return Shape.of(batch, keys, keyHeads, headSize);
    }

    Shape statisticShape() {
      return Shape.of(batch, heads, queries);
    }

    double scale() {
      return 1 / Math.sqrt(headSize);
    }
  }

  /** Shapes on and off the block and vector sizes, in every mask and layout. */
  List<Problem> PROBLEMS =
      List.of(
          new Problem(1, 1, 1, 1, 1, 2, AttentionMask.CAUSAL, Placement.CONTIGUOUS),
          new Problem(1, 3, 3, 1, 1, 8, AttentionMask.CAUSAL, Placement.SHIFTED),
          new Problem(2, 7, 7, 3, 3, 16, AttentionMask.CAUSAL, Placement.PACKED_HEADS),
          new Problem(2, 8, 8, 2, 2, 7, AttentionMask.FULL, Placement.PACKED_HEADS),
          new Problem(1, 17, 31, 4, 2, 64, AttentionMask.FULL, Placement.HEADS_FIRST),
          new Problem(3, 31, 17, 4, 1, 17, AttentionMask.FULL, Placement.CONTIGUOUS),
          new Problem(2, 64, 64, 3, 3, 32, AttentionMask.CAUSAL, Placement.PACKED_HEADS),
          new Problem(2, 100, 100, 2, 2, 64, AttentionMask.CAUSAL, Placement.HEADS_FIRST),
          new Problem(1, 196, 196, 3, 3, 64, AttentionMask.FULL, Placement.PACKED_HEADS),
          new Problem(1, 257, 257, 1, 1, 31, AttentionMask.CAUSAL, Placement.PADDED_ROWS),
          new Problem(1, 300, 300, 2, 1, 40, AttentionMask.CAUSAL, Placement.PACKED_HEADS),
          new Problem(1, 290, 310, 1, 1, 16, at(7, 150), Placement.HEADS_FIRST),
          new Problem(1, 30, 1100, 2, 1, 16, at(1000, 0), Placement.CONTIGUOUS),
          new Problem(1, 1100, 40, 2, 2, 16, AttentionMask.CAUSAL, Placement.CONTIGUOUS),
          new Problem(1, 65, 129, 2, 1, 100, AttentionMask.CAUSAL, Placement.CONTIGUOUS),
          new Problem(2, 1, 40, 6, 3, 32, at(39, 0), Placement.CONTIGUOUS),
          new Problem(1, 8, 24, 2, 2, 16, at(16, 0), Placement.PACKED_HEADS),
          new Problem(1, 33, 33, 2, 2, 16, at(33, 0), Placement.CONTIGUOUS),
          new Problem(1, 40, 24, 2, 2, 16, at(0, 11), Placement.CONTIGUOUS),
          new Problem(1, 70, 70, 2, 1, 48, at(5, 40), Placement.HEADS_FIRST),
          new Problem(3, 21, 21, 2, 2, 16, AttentionMask.CAUSAL, Placement.SWAPPED_LEADING),
          new Problem(1, 5, 9, 2, 1, 8, at(0, 100), Placement.CONTIGUOUS),
          new Problem(1, 5, 0, 2, 1, 8, AttentionMask.FULL, Placement.CONTIGUOUS),
          new Problem(2, 0, 5, 2, 1, 8, AttentionMask.CAUSAL, Placement.CONTIGUOUS),
          new Problem(0, 5, 5, 2, 1, 8, AttentionMask.CAUSAL, Placement.CONTIGUOUS));

  private static AttentionMask at(long queryStart, long keyStart) {
    return new AttentionMask(true, queryStart, keyStart);
  }

  private KernelCase forward(Problem p, double logitScale) {
    KernelCase kernelCase = kernelCase("attention " + p + " logits x" + logitScale);
    double[] query = kernelCase.normal(p.queryShape().size());
    for (int i = 0; i < query.length; i++) {
      query[i] *= logitScale;
    }
    long[] queryDims = p.queryShape().toArray();
    long[] keyDims = p.keyShape().toArray();
    return kernelCase
        .input(p.placement(), p.queryShape(), query)
        .input(p.placement(), keyDims)
        .input(p.placement(), keyDims)
        .output(p.placement(), queryDims)
        .outputStatistic(p.statisticShape().toArray());
  }

  private static KernelCase.Call forwardCall(Problem p) {
    return (kernels, a) -> kernels.attention(a[0], a[1], a[2], p.mask(), p.scale(), a[3], a[4]);
  }

  @Test
  default void attention_everyMaskAndLayout_matches() {
    for (Problem problem : PROBLEMS) {
      forward(problem, 1).tolerance(2).check(forwardCall(problem));
    }
  }

  @Test
  default void attention_peakedScores_neverOverflow() {
    // Scores up to about 300: exp overflows F32 unless the maximum is taken out.
    Problem problem = new Problem(1, 70, 70, 2, 2, 32, AttentionMask.CAUSAL, Placement.CONTIGUOUS);
    forward(problem, 60).tolerance(20).check(forwardCall(problem));
  }

  @Test
  default void attentionBackward_everyMaskAndLayout_matches() {
    for (Problem problem : PROBLEMS) {
      double[][] known = forward(problem, 1).expected(forwardCall(problem));
      backward(problem, known).check(backwardCall(problem));
    }
  }

  private KernelCase backward(Problem p, double[][] known) {
    Placement placement = p.placement();
    long[] queryDims = p.queryShape().toArray();
    long[] keyDims = p.keyShape().toArray();
    return kernelCase("attentionBackward " + p)
        .tolerance(4)
        .input(placement, p.queryShape(), known[0])
        .input(placement, p.keyShape(), known[1])
        .input(placement, p.keyShape(), known[2])
        .input(placement, p.queryShape(), known[3])
        .statistic(p.statisticShape(), known[4])
        .input(placement, queryDims)
        .output(placement, queryDims)
        .output(placement, keyDims)
        .output(placement, keyDims);
  }

  private static KernelCase.Call backwardCall(Problem p) {
    return (kernels, a) ->
        kernels.attentionBackward(
            a[0], a[1], a[2], a[3], a[4], a[5], p.mask(), p.scale(), a[6], a[7], a[8]);
  }

  /** Ring attention hands each part the log-sum-exp and output of the whole. */
  @Test
  default void attentionBackward_withTheWholesStatistics_givesThePartsGradients() {
    Problem whole = new Problem(1, 20, 40, 2, 2, 16, at(20, 0), Placement.CONTIGUOUS);
    double[][] known = forward(whole, 1).expected(forwardCall(whole));
    Problem part = new Problem(1, 20, 13, 2, 2, 16, at(20, 0), Placement.CONTIGUOUS);
    int count = Math.toIntExact(part.keyShape().size());
    double[][] ofPart = {
      known[0], Arrays.copyOf(known[1], count), Arrays.copyOf(known[2], count), known[3], known[4]
    };
    backward(part, ofPart).check(backwardCall(part));
  }

  @Test
  default void attention_outputIntoPackedGradient_matches() {
    // dq, dk and dv as the three parts of one packed [B,S,3,H,D] array.
    int batch = 2;
    int sequence = 19;
    int heads = 3;
    int headSize = 16;
    Problem p =
        new Problem(
            batch,
            sequence,
            sequence,
            heads,
            heads,
            headSize,
            AttentionMask.CAUSAL,
            Placement.CONTIGUOUS);
    double[][] known = forward(p, 1).expected(forwardCall(p));
    kernelCase("attentionBackward packed")
        .tolerance(4)
        .input(Placement.CONTIGUOUS, p.queryShape(), known[0])
        .input(Placement.CONTIGUOUS, p.keyShape(), known[1])
        .input(Placement.CONTIGUOUS, p.keyShape(), known[2])
        .input(Placement.CONTIGUOUS, p.queryShape(), known[3])
        .statistic(p.statisticShape(), known[4])
        .input(Placement.CONTIGUOUS, p.queryShape().toArray())
        .output(Placement.CONTIGUOUS, batch, sequence, 3 * heads, headSize)
        .check(
            (kernels, a) ->
                kernels.attentionBackward(
                    a[0],
                    a[1],
                    a[2],
                    a[3],
                    a[4],
                    a[5],
                    p.mask(),
                    p.scale(),
                    a[6].slice(2, 0, heads),
                    a[6].slice(2, heads, 2 * heads),
                    a[6].slice(2, 2 * heads, 3 * heads)));
  }

  @Test
  default void attention_queriesKeysValuesOfOneArray_match() {
    int heads = 3;
    kernelCase("attention packed")
        .input(Placement.CONTIGUOUS, 2, 37, 3L * heads, 16)
        .output(Placement.CONTIGUOUS, 2, 37, heads, 16)
        .outputStatistic(2, heads, 37)
        .check(
            (kernels, a) ->
                kernels.attention(
                    a[0].slice(2, 0, heads),
                    a[0].slice(2, heads, 2 * heads),
                    a[0].slice(2, 2 * heads, 3 * heads),
                    AttentionMask.CAUSAL,
                    0.25,
                    a[1],
                    a[2]));
  }

  @Test
  default void attention_large_sameBitsForAnyThreadCount() {
    Problem problem =
        new Problem(3, 150, 150, 4, 2, 32, AttentionMask.CAUSAL, Placement.CONTIGUOUS);
    KernelCase forward = forward(problem, 1).tolerance(2);
    forward.check(forwardCall(problem));
    backward(problem, forward.expected(forwardCall(problem))).check(backwardCall(problem));
  }

  @Test
  default void rotary_everySizeAndLayout_matchesBothDirections() {
    for (int half : new int[] {1, 3, 4, 8, 17, 32, 50}) {
      for (Placement placement :
          List.of(
              Placement.CONTIGUOUS,
              Placement.SHIFTED,
              Placement.PACKED_HEADS,
              Placement.SWAPPED_LEADING,
              Placement.HEADS_FIRST)) {
        for (boolean inverse : List.of(false, true)) {
          String name = "rotary " + half + " " + placement + " " + inverse;
          angles(kernelCase(name).input(placement, 2, 7, 3, 2L * half), 7, half)
              .output(placement, 2, 7, 3, 2L * half)
              .check((kernels, a) -> kernels.rotary(a[0], a[1], a[2], inverse, a[3]));
          angles(kernelCase(name + " in place").inOut(placement, 2, 7, 3, 2L * half), 7, half)
              .check((kernels, a) -> kernels.rotary(a[0], a[1], a[2], inverse, a[0]));
        }
      }
    }
    angles(kernelCase("rotary large").input(Placement.PACKED_HEADS, 2, 301, 4, 64), 301, 32)
        .output(Placement.CONTIGUOUS, 2, 301, 4, 64)
        .check((kernels, a) -> kernels.rotary(a[0], a[1], a[2], false, a[3]));
  }

  private static KernelCase angles(KernelCase kernelCase, int sequence, int half) {
    double[] cosines = new double[sequence * half];
    double[] sines = new double[sequence * half];
    for (int s = 0; s < sequence; s++) {
      for (int d = 0; d < half; d++) {
        double angle = s * Math.pow(10000, -(double) d / half);
        cosines[s * half + d] = Math.cos(angle);
        sines[s * half + d] = Math.sin(angle);
      }
    }
    Shape shape = Shape.of(sequence, half);
    return kernelCase.statistic(shape, cosines).statistic(shape, sines);
  }
}
