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
    long[] words = best.toLongs();
    double[] values = packed.toDoubles();
    int columns = Math.toIntExact(packed.dim(1));
    double[] largest = new double[words.length];
    for (int row = 0; row < words.length; row++) {
      largest[row] = values[row * columns + (int) words[row]];
    }
    double[] over = largest.clone();
    group.allReduce(over, ReduceOp.MAX);
    for (int row = 0; row < words.length; row++) {
      words[row] = largest[row] == over[row] ? words[row] + first : Long.MAX_VALUE;
    }
    group.allReduce(words, ReduceOp.MIN);
    return NDArray.of(logits.device(), best.shape(), words);
  }
}
