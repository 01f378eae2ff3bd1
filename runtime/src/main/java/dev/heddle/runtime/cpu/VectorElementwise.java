package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;

/** Element-wise primitives of contiguous arrays, cut into chunks for the workers. */
final class VectorElementwise {
  /** Elements of a chunk: 128 KiB an operand, so that a few operands fit the second-level cache. */
  static final int GRAIN = 1 << 15;

  private final WorkerPool workers;

  VectorElementwise(WorkerPool workers) {
    this.workers = workers;
  }

  void unary(UnaryOperation op, NDArray x, NDArray y) {
    long from = x.address();
    long to = y.address();
    workers.run(
        x.size(),
        GRAIN,
        (start, end) ->
            VectorUnary.apply(op, from + 4 * start, to + 4 * start, (int) (end - start)));
  }

  void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    long in = x.address();
    long gradient = dy.address();
    long to = dx.address();
    workers.run(
        x.size(),
        GRAIN,
        (start, end) ->
            VectorUnaryBackward.apply(
                op,
                in + 4 * start,
                gradient + 4 * start,
                to + 4 * start,
                (int) (end - start)));
  }

  void scale(NDArray x, double alpha, NDArray y) {
    long from = x.address();
    long to = y.address();
    float factor = (float) alpha;
    workers.run(
        x.size(),
        GRAIN,
        (start, end) ->
            VectorArithmetic.scale(
                from + 4 * start, factor, to + 4 * start, (int) (end - start)));
  }

  void addScaled(NDArray x, double alpha, NDArray y) {
    long from = x.address();
    long to = y.address();
    float factor = (float) alpha;
    workers.run(
        x.size(),
        GRAIN,
        (start, end) ->
            VectorArithmetic.addScaled(
                from + 4 * start, factor, to + 4 * start, (int) (end - start)));
  }
}
