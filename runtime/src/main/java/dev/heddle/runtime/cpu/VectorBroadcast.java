package dev.heddle.runtime.cpu;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import org.jspecify.annotations.Nullable;

/**
 * Functions of two arrays with broadcasting. Dims that lie alike in both operands are merged; what
 * is left is an inner run, in which each operand advances or stands still, and outer dims.
 */
final class VectorBroadcast {
  private final WorkerPool workers;
  private final @Nullable MachineLoops machine;

  /**
   * For a rank's threads.
   *
   * @param machine loops by machine code where there are some, null for Java
   */
  VectorBroadcast(WorkerPool workers, @Nullable MachineLoops machine) {
    this.workers = workers;
    this.machine = machine;
  }

  void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    if (y.size() == 0) {
      return;
    }
    if (a.size() == y.size() && b.size() == y.size() && a.isContiguous() && b.isContiguous()) {
      sameShape(op, a, b, y);
    } else {
      broadcast(op, a, b, y);
    }
  }

  /**
   * Less than a vector goes one by one, with the same bits: to mask a vector would cost more, and
   * very much more in a program that is not compiled yet.
   */
  private void sameShape(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    long left = a.address();
    long right = b.address();
    long to = y.address();
    if (y.size() < Lanes.LENGTH) {
      for (long i = 0; i < 4 * y.size(); i += 4) {
        Lanes.set(to + i, VectorArithmetic.apply(op, Lanes.get(left + i), Lanes.get(right + i)));
      }
      return;
    }
    @Nullable VectorLoop loop = machine == null ? null : machine.binary(op, Type.F32);
    if (loop != null) {
      workers.run(
          y.size(),
          VectorElementwise.GRAIN,
          (start, end) ->
              loop.run(left + 4 * start, right + 4 * start, to + 4 * start, end - start));
      return;
    }
    workers.run(
        y.size(),
        VectorElementwise.GRAIN,
        (start, end) ->
            VectorArithmetic.apply(
                op, left + 4 * start, right + 4 * start, to + 4 * start, (int) (end - start)));
  }

  private void broadcast(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    int rank = y.rank();
    long[] sizes = new long[rank];
    long[] aSteps = new long[rank];
    long[] bSteps = new long[rank];
    int dims = 0;
    // Innermost first; a dim joins the one inside it where both operands continue in step.
    for (int i = 1; i <= rank; i++) {
      long size = y.dim(-i);
      if (size == 1) {
        continue;
      }
      long aStep = step(a, i);
      long bStep = step(b, i);
      if (dims > 0
          && aStep == aSteps[dims - 1] * sizes[dims - 1]
          && bStep == bSteps[dims - 1] * sizes[dims - 1]) {
        sizes[dims - 1] *= size;
      } else {
        sizes[dims] = size;
        aSteps[dims] = aStep;
        bSteps[dims] = bStep;
        dims++;
      }
    }
    if (dims == 0) {
      sizes = new long[] {1};
      aSteps = new long[] {0};
      bSteps = new long[] {0};
      dims = 1;
    }
    new Plan(op, dims, sizes, aSteps, bSteps, a.address(), b.address(), y.address()).run(workers);
  }

  /** Elements between neighbours along y's dim -i: 0 where the operand is stretched. */
  private static long step(NDArray x, int i) {
    return i > x.rank() || x.dim(-i) == 1 ? 0 : x.stride(-i);
  }

  /** Dims innermost first. */
  private record Plan(
      BinaryOperation op,
      int dims,
      long[] sizes,
      long[] aSteps,
      long[] bSteps,
      long a,
      long b,
      long y) {

    void run(WorkerPool workers) {
      long inner = sizes[0];
      long outer = 1;
      for (int i = 1; i < dims; i++) {
        outer *= sizes[i];
      }
      // Long inner runs are cut, short ones grouped.
      long pieces = (inner + VectorElementwise.GRAIN - 1) / VectorElementwise.GRAIN;
      long piece = (inner + pieces - 1) / pieces;
      long grain = Math.max(1, VectorElementwise.GRAIN / piece);
      workers.run(
          outer * pieces,
          grain,
          (start, end) -> {
            for (long i = start; i < end; i++) {
              long from = i % pieces * piece;
              row(i / pieces, from, (int) Math.min(piece, inner - from));
            }
          });
    }

    private void row(long outerIndex, long from, int count) {
      long aOffset = from * aSteps[0];
      long bOffset = from * bSteps[0];
      long rest = outerIndex;
      for (int i = 1; i < dims; i++) {
        long index = rest % sizes[i];
        rest /= sizes[i];
        aOffset += index * aSteps[i];
        bOffset += index * bSteps[i];
      }
      long left = a + 4 * aOffset;
      long right = b + 4 * bOffset;
      long to = y + 4 * (outerIndex * sizes[0] + from);
      long aStep = aSteps[0];
      long bStep = bSteps[0];
      if (aStep == 1 && bStep == 1) {
        VectorArithmetic.apply(op, left, right, to, count);
      } else if (aStep == 1 && bStep == 0) {
        VectorArithmetic.applyRight(op, left, Lanes.get(right), to, count);
      } else if (aStep == 0 && bStep == 1) {
        VectorArithmetic.applyLeft(op, Lanes.get(left), right, to, count);
      } else {
        for (int i = 0; i < count; i++) {
          float one = Lanes.get(left + 4 * i * aStep);
          float other = Lanes.get(right + 4 * i * bStep);
          Lanes.set(to + 4L * i, VectorArithmetic.apply(op, one, other));
        }
      }
    }
  }
}
