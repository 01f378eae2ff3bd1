package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/** Element-wise primitives of contiguous arrays, cut into chunks for the workers. */
final class VectorElementwise {
  /** Elements of a chunk: 128 KiB an operand, so that a few operands fit the second-level cache. */
  static final int GRAIN = 1 << 15;

  private final WorkerPool workers;
  private final @Nullable MachineLoops machine;

  /**
   * For a rank's threads.
   *
   * @param machine loops by machine code where there are some, null for Java
   */
  VectorElementwise(WorkerPool workers, @Nullable MachineLoops machine) {
    this.workers = workers;
    this.machine = machine;
  }

  void unary(UnaryOperation op, NDArray x, NDArray y) {
    long from = x.address();
    long to = y.address();
    @Nullable VectorLoop loop = machine == null ? null : machine.unary(op, Type.F32);
    if (loop != null) {
      workers.run(
          x.size(),
          GRAIN,
          (start, end) -> loop.run(from + 4 * start, to + 4 * start, 0, end - start));
      return;
    }
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
    @Nullable VectorLoop loop = machine == null ? null : machine.unaryBackward(op, Type.F32);
    if (loop != null) {
      workers.run(
          x.size(),
          GRAIN,
          (start, end) ->
              loop.run(in + 4 * start, gradient + 4 * start, to + 4 * start, end - start));
      return;
    }
    workers.run(
        x.size(),
        GRAIN,
        (start, end) ->
            VectorUnaryBackward.apply(
                op, in + 4 * start, gradient + 4 * start, to + 4 * start, (int) (end - start)));
  }

  void scale(NDArray x, double alpha, NDArray y) {
    long from = x.address();
    long to = y.address();
    float factor = (float) alpha;
    workers.run(
        x.size(),
        GRAIN,
        (start, end) ->
            VectorArithmetic.scale(from + 4 * start, factor, to + 4 * start, (int) (end - start)));
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

  private static void swigluRow(long gate, long up, long y, int n) {
    int rest = n % LENGTH;
    long end = 4L * (n - rest);
    long gates = gate;
    long ups = up;
    long to = y;
    int count = n - rest;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      swigluVectors(gates, ups, to, count);
      if (turns > 1) {
        gates = Pad.address();
        ups = gates + Lanes.BYTES;
        Pad.fill(gates, gate + end, rest, 0);
        Pad.fill(ups, up + end, rest, 0);
        to = gates;
        count = LENGTH;
      }
    }
    Pad.copy(to, y + end, rest);
  }

  private static void swigluVectors(long gateStart, long upStart, long yStart, int n) {
    long gate = address(gateStart);
    long up = address(upStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      store(VectorMath.silu(load(gate + 4L * i)).mul(load(up + 4L * i)), y + 4L * i);
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

  private static void swigluBackwardRow(long gate, long up, long dy, long dgate, long dup, int n) {
    int rest = n % LENGTH;
    long end = 4L * (n - rest);
    long gates = gate;
    long ups = up;
    long gradient = dy;
    long toGates = dgate;
    long toUps = dup;
    int count = n - rest;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      swigluBackwardVectors(gates, ups, gradient, toGates, toUps, count);
      if (turns > 1) {
        gates = Pad.address();
        ups = gates + Lanes.BYTES;
        gradient = ups + Lanes.BYTES;
        Pad.fill(gates, gate + end, rest, 0);
        Pad.fill(ups, up + end, rest, 0);
        Pad.fill(gradient, dy + end, rest, 0);
        toGates = gates;
        toUps = ups;
        count = LENGTH;
      }
    }
    Pad.copy(toGates, dgate + end, rest);
    Pad.copy(toUps, dup + end, rest);
  }

  private static void swigluBackwardVectors(
      long gateStart, long upStart, long dyStart, long dgateStart, long dupStart, int n) {
    long gate = address(gateStart);
    long up = address(upStart);
    long dy = address(dyStart);
    long dgate = address(dgateStart);
    long dup = address(dupStart);
    FloatVector one = Lanes.broadcast(1f);
    for (int i = 0; i < n; i += LENGTH) {
      long at = 4L * i;
      FloatVector x = load(gate + at);
      FloatVector g = load(dy + at);
      FloatVector upwards = load(up + at);
      FloatVector s = VectorMath.sigmoid(x);
      store(s.mul(x.fma(one.sub(s), one)).mul(g.mul(upwards)), dgate + at);
      store(g.mul(x.mul(s)), dup + at);
    }
  }
}
