package dev.heddle.runtime.cpu;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import org.jspecify.annotations.Nullable;

/**
 * Element-wise primitives of contiguous bf16 arrays: by a loop of {@link Bf16Loops} where there is
 * one, else by tiles. A tile of each operand is widened into scratch memory that stays in the
 * first-level cache, the F32 loop runs on it, and the result is rounded. So memory is read and
 * written in bf16 only.
 */
final class Bf16Elementwise {
  /** Elements of a tile: three of them in F32 are half of a first-level cache. */
  private static final int TILE = 2048;

  private static final long TILE_BYTES = 4L * TILE;
  private static final int OPERANDS = 2;

  private final WorkerPool workers;
  private final @Nullable MachineLoops machine;
  private final MemoryPool memory;

  /** What is done to a tile of {@code n} elements, in F32, in place of the first operand. */
  private interface Step {
    void run(long first, long second, int n);
  }

  /**
   * For a rank's threads.
   *
   * @param memory where tiles come from
   * @param machine loops by machine code where there are some, null for Java
   */
  Bf16Elementwise(WorkerPool workers, MemoryPool memory, @Nullable MachineLoops machine) {
    this.workers = workers;
    this.machine = machine;
    this.memory = memory;
  }

  void unary(UnaryOperation op, NDArray x, NDArray y) {
    if (machine != null && run(machine.unary(op, Type.BF16), x, y, null)) {
      return;
    }
    Bf16Loops.@Nullable Loop loop = Bf16Loops.unary(op);
    if (loop == null) {
      run(x, null, y, (a, b, n) -> VectorUnary.apply(op, a, a, n));
    } else {
      run(x, null, y, loop);
    }
  }

  void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    if (machine != null && run(machine.unaryBackward(op, Type.BF16), x, dy, dx)) {
      return;
    }
    Bf16Loops.@Nullable Loop loop = Bf16Loops.unaryBackward(op);
    if (loop != null) {
      run(x, dy, dx, loop);
    } else {
      run(x, dy, dx, (a, b, n) -> VectorUnaryBackward.apply(op, a, b, a, n));
    }
  }

  void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    if (machine != null && run(machine.binary(op, Type.BF16), a, b, y)) {
      return;
    }
    Bf16Loops.@Nullable Loop loop = Bf16Loops.binary(op);
    if (loop == null) {
      run(a, b, y, (left, right, n) -> VectorArithmetic.apply(op, left, right, left, n));
    } else {
      run(a, b, y, loop);
    }
  }

  void scale(NDArray x, double alpha, NDArray y) {
    run(x, null, y, Bf16Loops.scale((float) alpha));
  }

  /** y += alpha x. */
  void addScaled(NDArray x, double alpha, NDArray y) {
    run(y, x, y, Bf16Loops.addScaled((float) alpha));
  }

  /** Runs a loop over two or three arrays, if there is one. */
  private boolean run(@Nullable VectorLoop loop, NDArray a, NDArray b, @Nullable NDArray c) {
    if (loop == null) {
      return false;
    }
    long first = a.address();
    long second = b.address();
    long third = c == null ? 0 : c.address();
    workers.run(
        a.size(),
        VectorElementwise.GRAIN,
        (start, end) ->
            loop.run(first + 2 * start, second + 2 * start, third + 2 * start, end - start));
    return true;
  }

  private void run(NDArray first, @Nullable NDArray second, NDArray y, Bf16Loops.Loop loop) {
    long one = first.address();
    long other = second == null ? 0 : second.address();
    long to = y.address();
    workers.run(
        y.size(),
        VectorElementwise.GRAIN,
        (start, end) ->
            Bf16Loops.run(
                loop,
                one + 2 * start,
                other == 0 ? 0 : other + 2 * start,
                to + 2 * start,
                (int) (end - start)));
  }

  private void run(NDArray first, @Nullable NDArray second, NDArray y, Step step) {
    long one = first.address();
    long other = second == null ? 0 : second.address();
    long to = y.address();
    Block block = memory.borrow(workers.threads() * OPERANDS * TILE_BYTES);
    try {
      long scratch = block.segment().address();
      workers.runOnWorkers(
          y.size(),
          VectorElementwise.GRAIN,
          (worker, start, end) -> {
            long a = scratch + worker * OPERANDS * TILE_BYTES;
            long b = a + TILE_BYTES;
            for (long at = start; at < end; at += TILE) {
              int n = (int) Math.min(TILE, end - at);
              Bf16Conversion.widen(one + 2 * at, a, n);
              if (other != 0) {
                Bf16Conversion.widen(other + 2 * at, b, n);
              }
              step.run(a, b, n);
              Bf16Conversion.narrow(a, to + 2 * at, n);
            }
          });
    } finally {
      block.release();
    }
  }
}
