package dev.heddle.parallel.tensor;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;

/** The most probable word with the words divided over ranks. */
final class VocabularyParallelArgmax {
  private VocabularyParallelArgmax() {}

  /**
   * For each row of logits [R,C], whose columns begin at word {@code first}, the word with the
   * largest logit over all ranks, the lowest of equals: [R] I64.
   */
  static NDArray argmax(NDArray logits, long first, Communicator group) {
    NDArray best = NDArray.empty(logits.device(), DType.I64, logits.dim(0));
    NDArray packed = logits.contiguous();
    packed.kernels().argmaxRows(packed, best);
    double[] largest = at(packed, best).toDoubles();
    long[] words = best.toLongs();
    double[] over = largest.clone();
    group.allReduce(over, ReduceOp.MAX);
    for (int row = 0; row < words.length; row++) {
      // A NaN is not equal to itself, and some rank has to answer for its row.
      boolean mine =
          largest[row] == over[row] || Double.isNaN(largest[row]) && Double.isNaN(over[row]);
      words[row] = mine ? words[row] + first : Long.MAX_VALUE;
    }
    group.allReduce(words, ReduceOp.MIN);
    return NDArray.of(logits.device(), best.shape(), words);
  }

  /** The logit of each row's chosen column, without reading all logits on the host. */
  private static NDArray at(NDArray logits, NDArray columns) {
    DType wide = logits.dtype().accumulation();
    NDArray logSumExp = NDArray.empty(logits.device(), wide, logits.dim(0));
    NDArray chosen = NDArray.empty(logits.device(), wide, logits.dim(0));
    logits.kernels().crossEntropy(logits, columns, 0, logits.dim(1), logSumExp, chosen);
    return chosen;
  }
}
