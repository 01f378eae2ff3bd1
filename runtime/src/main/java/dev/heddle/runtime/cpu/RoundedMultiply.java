package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import org.jspecify.annotations.Nullable;

/**
 * F32 products whose operands are rounded to bf16 first, by machine code of our own or by oneDNN's
 * matmul primitive; sums are F32. On processors with bf16 instructions a product then takes about
 * half the time (Zen 5, one thread, 1024 × 1024 × 1024: 342 to 170 GF/s).
 *
 * <p>The rounding is done here. The library offers to do it itself (its {@code fpmath} mode), but
 * on processors without AMX it then multiplies in F32 after all, and transposed operands it leaves
 * to reference code, a thousand times slower.
 *
 * <p>Products that the primitive has no form for (alpha other than 1, beta other than 0) and tiny
 * ones, which converting would cost more than it gains, are exact.
 */
final class RoundedMultiply implements MatrixMultiply {
  /** Parts to cut a product into, so that a few threads end at about the same time. */
  private static final int PARTS = 4;

  /** A part has at least this many rows or columns. */
  private static final long SMALLEST_PART = 64;

  /** Multiply-adds of a whole product, batch included, below which it stays exact. */
  private static final long TINY = 1L << 15;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final MatrixMultiply exact;
  private final @Nullable MachineMultiply machine;
  private final WorkerPool.RangeTask leftTask = this::roundLeft;
  private final WorkerPool.RangeTask rightTask = this::roundRight;
  private final WorkerPool.RangeTask partTask = this::parts;
  private final WorkerPool.RangeTask batchTask = this::batch;

  // The running call.
  private Product product = new Product();
  private final Product rounded = new Product();
  private long left;
  private long right;
  private boolean alongRows;
  private long parts;

  /**
   * Products for a rank's threads.
   *
   * @param exact computes what is not rounded
   * @param machine multiplies bf16; null where oneDNN does
   */
  RoundedMultiply(
      WorkerPool workers,
      MemoryPool memory,
      MatrixMultiply exact,
      @Nullable MachineMultiply machine) {
    this.machine = machine;
    this.workers = workers;
    this.memory = memory;
    this.exact = exact;
  }

  @Override
  public String name() {
    return exact.name() + " rounded to bf16";
  }

  @Override
  public void multiply(Product p) {
    if (p.alpha != 1 || p.beta != 0 || p.batch * p.rows * p.columns * p.depth < TINY) {
      exact.multiply(p);
      return;
    }
    product = p;
    long leftBytes = AttentionBlocks.roundUp(2 * p.batch * p.rows * p.depth, MemoryPool.ALIGNMENT);
    Block scratch = memory.borrow(leftBytes + 2 * p.batch * p.depth * p.columns);
    try {
      left = scratch.segment().address();
      right = left + leftBytes;
      long leftRows = p.batch * (p.transposeA ? p.depth : p.rows);
      long rightRows = p.batch * (p.transposeB ? p.columns : p.depth);
      workers.run(leftRows, grain(p.transposeA ? p.rows : p.depth), leftTask);
      workers.run(rightRows, grain(p.transposeB ? p.depth : p.columns), rightTask);
      if (machine != null) {
        describeRounded();
        machine.multiply(rounded);
      } else if (p.batch > 1) {
        workers.run(p.batch, (p.batch + PARTS - 1) / PARTS, batchTask);
      } else {
        alongRows = p.rows >= p.columns;
        parts = Math.clamp((alongRows ? p.rows : p.columns) / SMALLEST_PART, 1, PARTS);
        workers.run(parts, 1, partTask);
      }
    } finally {
      scratch.release();
    }
  }

  /** The same product of the rounded operands, which lie close together. */
  private void describeRounded() {
    Product p = product;
    Product r = rounded;
    r.bf16 = true;
    r.rows = p.rows;
    r.columns = p.columns;
    r.depth = p.depth;
    r.a = left;
    r.aStride = Short.BYTES * (p.transposeA ? p.rows : p.depth);
    r.transposeA = p.transposeA;
    r.b = right;
    r.bStride = Short.BYTES * (p.transposeB ? p.depth : p.columns);
    r.transposeB = p.transposeB;
    r.c = p.c;
    r.cStride = p.cStride;
    r.alpha = 1;
    r.beta = 0;
    r.bias = p.bias;
    r.activation = p.activation;
    r.activated = p.activated;
    r.batch = p.batch;
    r.aBatchStride = Short.BYTES * p.rows * p.depth;
    r.bBatchStride = Short.BYTES * p.depth * p.columns;
    r.cBatchStride = p.cBatchStride;
  }

  private static long grain(long columns) {
    return Math.max(1, VectorElementwise.GRAIN / columns);
  }

  private void roundLeft(long start, long end) {
    Product p = product;
    long perMatrix = p.transposeA ? p.depth : p.rows;
    long columns = p.transposeA ? p.rows : p.depth;
    round(p.a, p.aStride, p.aBatchStride, perMatrix, columns, left, start, end);
  }

  private void roundRight(long start, long end) {
    Product p = product;
    long perMatrix = p.transposeB ? p.columns : p.depth;
    long columns = p.transposeB ? p.depth : p.columns;
    round(p.b, p.bStride, p.bBatchStride, perMatrix, columns, right, start, end);
  }

  /** Rows {@code start} to {@code end} of a batch of matrices as they lie in memory. */
  private static void round(
      long from,
      long stride,
      long batchStride,
      long perMatrix,
      long columns,
      long to,
      long start,
      long end) {
    for (long row = start; row < end; row++) {
      long source = from + row / perMatrix * batchStride + row % perMatrix * stride;
      Bf16Conversion.narrow(source, to + 2 * row * columns, columns);
    }
  }

  private OneDnnMatmul.Form form(long batch, long rows, long columns) {
    Product p = product;
    return new OneDnnMatmul.Form(
        DType.BF16,
        DType.F32,
        batch,
        rows,
        columns,
        p.depth,
        OneDnnMatmul.Steps.of(p.rows * p.depth, p.transposeA ? p.rows : p.depth, p.transposeA),
        OneDnnMatmul.Steps.of(
            p.depth * p.columns, p.transposeB ? p.depth : p.columns, p.transposeB),
        OneDnnMatmul.Steps.of(p.cBatchStride / 4, p.cStride / 4, false));
  }

  private void batch(long start, long end) {
    Product p = product;
    OneDnnMatmul.ofThisThread()
        .multiply(
            form(end - start, p.rows, p.columns),
            left + 2 * start * p.rows * p.depth,
            right + 2 * start * p.depth * p.columns,
            p.c + start * p.cBatchStride);
  }

  private void parts(long start, long end) {
    Product p = product;
    for (long part = start; part < end; part++) {
      long size = alongRows ? p.rows : p.columns;
      long from = border(size, part);
      long count = border(size, part + 1) - from;
      if (alongRows) {
        long a = left + 2 * from * (p.transposeA ? 1 : p.depth);
        OneDnnMatmul.ofThisThread()
            .multiply(form(1, count, p.columns), a, right, p.c + from * p.cStride);
        p.finish(from, count, 0, p.columns);
      } else {
        long b = right + 2 * from * (p.transposeB ? p.depth : 1);
        OneDnnMatmul.ofThisThread().multiply(form(1, p.rows, count), left, b, p.c + 4 * from);
        p.finish(0, p.rows, from, count);
      }
    }
  }

  private long border(long size, long part) {
    return part == parts ? size : size * part / parts & -16L;
  }
}
