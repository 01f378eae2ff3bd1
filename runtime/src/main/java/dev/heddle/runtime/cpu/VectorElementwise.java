package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

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

  void swiglu(NDArray gate, NDArray up, NDArray y) {
    int columns = Math.toIntExact(gate.dim(-1));
    long gateStride = 4 * KernelChecks.rowStride(gate);
    long upStride = 4 * KernelChecks.rowStride(up);
    long gates = gate.address();
    long ups = up.address();
    long to = y.address();
    workers.run(
        columns == 0 ? 0 : gate.shape().rows(),
        VectorSoftmax.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            swigluRow(
                gates + row * gateStride, ups + row * upStride, to + 4 * row * columns, columns);
          }
        });
  }

  private static void swigluRow(long gateStart, long upStart, long yStart, int n) {
    long gate = address(gateStart);
    long up = address(upStart);
    long y = address(yStart);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(VectorMath.silu(load(gate + 4L * i)).mul(load(up + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = 4L * bound;
      store(VectorMath.silu(load(gate + at, rest)).mul(load(up + at, rest)), y + at, rest);
    }
  }

  void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    int columns = Math.toIntExact(gate.dim(-1));
    long gateStride = 4 * KernelChecks.rowStride(gate);
    long upStride = 4 * KernelChecks.rowStride(up);
    long dgateStride = 4 * KernelChecks.rowStride(dgate);
    long dupStride = 4 * KernelChecks.rowStride(dup);
    long gates = gate.address();
    long ups = up.address();
    long gradient = dy.address();
    long dgates = dgate.address();
    long dups = dup.address();
    workers.run(
        columns == 0 ? 0 : gate.shape().rows(),
        VectorSoftmax.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            swigluBackwardRow(
                gates + row * gateStride,
                ups + row * upStride,
                gradient + 4 * row * columns,
                dgates + row * dgateStride,
                dups + row * dupStride,
                columns);
          }
        });
  }

  private static void swigluBackwardRow(
      long gateStart, long upStart, long dyStart, long dgateStart, long dupStart, int n) {
    long gate = address(gateStart);
    long up = address(upStart);
    long dy = address(dyStart);
    long dgate = address(dgateStart);
    long dup = address(dupStart);
    FloatVector one = Lanes.broadcast(1f);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      long at = 4L * i;
      FloatVector x = load(gate + at);
      FloatVector g = load(dy + at);
      FloatVector s = VectorMath.sigmoid(x);
      store(s.mul(x.fma(one.sub(s), one)).mul(g.mul(load(up + at))), dgate + at);
      store(g.mul(x.mul(s)), dup + at);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = 4L * bound;
      FloatVector x = load(gate + at, rest);
      FloatVector g = load(dy + at, rest);
      FloatVector s = VectorMath.sigmoid(x);
      store(s.mul(x.fma(one.sub(s), one)).mul(g.mul(load(up + at, rest))), dgate + at, rest);
      store(g.mul(x.mul(s)), dup + at, rest);
    }
  }
}
