package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import org.jspecify.annotations.Nullable;

/**
 * Products of bf16 matrices on processors with bf16 instructions: by machine code of our own, or,
 * where it does not run or oneDNN has better (see {@link CpuBackend}), by oneDNN's matmul
 * primitive. On other processors {@link Bf16Kernels} multiplies in F32, which is faster there.
 */
final class Bf16Products {
  /** Parts to cut a product into, so that a few threads end at about the same time. */
  private static final int PARTS = 4;

  /** A part has at least this many rows or columns. */
  private static final long SMALLEST_PART = 64;

  /** Parts end at multiples of this: whole vectors. */
  private static final long PART_UNIT = 16;

  /** Multiply-adds of a gradient from which its second operand is packed apart. */
  private static final long WORTH_PACKING = 1L << 24;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final @Nullable MachineMultiply machine;
  private final boolean library;
  private final Product product = new Product();

  /**
   * Products for a rank's threads.
   *
   * @param machine multiplies bf16 by machine code; null where it cannot
   * @param library whether oneDNN is used and multiplies bf16 by instructions
   */
  Bf16Products(
      WorkerPool workers, MemoryPool memory, @Nullable MachineMultiply machine, boolean library) {
    this.workers = workers;
    this.memory = memory;
    this.machine = machine;
    this.library = library;
  }

  /** Whether {@link #multiply} computes anything. */
  boolean areInstructions() {
    return library || machine != null;
  }

  /** Whether machine code of our own multiplies. */
  boolean byMachineCode() {
    return machine != null;
  }

  /** Whether attention of these queries can be made of bf16 products. */
  boolean multiplyHeads(NDArray q) {
    return library || machine != null && Bf16AttentionBlocks.suitsMachineCode(q);
  }

  /** {@link #multiply(NDArray, boolean, NDArray, boolean, double, double, NDArray, NDArray)}. */
  boolean multiply(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    return multiply(a, transposeA, b, transposeB, alpha, beta, c, null);
  }

  /**
   * c = op(a) op(b) for matrices or batches of them, a and b bf16, c bf16 or F32, if it can: with
   * alpha 1 and beta 0 on a processor with the instructions.
   *
   * @param bias bf16, one value a column of c, added before c is rounded; or null
   * @return whether c was computed
   */
  boolean multiply(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c,
      @Nullable NDArray bias) {
    boolean empty = a.size() == 0 || c.size() == 0;
    if (alpha != 1 || beta != 0 || empty) {
      return false;
    }
    if (multiplyByMachineCode(a, transposeA, b, transposeB, c, bias)) {
      return true;
    }
    if (!library) {
      return false;
    }
    long batch = c.rank() == 3 ? c.dim(0) : 1;
    long rows = c.dim(-2);
    long columns = c.dim(-1);
    long depth = a.dim(transposeA ? -2 : -1);
    OneDnnMatmul.Steps left = steps(a, transposeA);
    OneDnnMatmul.Steps right = steps(b, transposeB);
    OneDnnMatmul.Steps result = steps(c, false);
    boolean large = batch == 1 && rows * columns * depth >= WORTH_PACKING;
    if (large && !transposeB && bias == null) {
      if (multiplyPacked(a, transposeA, b, c)) {
        return true;
      }
    }
    long biases = bias == null ? 0 : bias.address();
    OneDnnMatmul.Addend addend =
        bias == null ? OneDnnMatmul.Addend.NOTHING : OneDnnMatmul.Addend.BIAS;
    // Cut along the longer side: each part packs what lies along the other again.
    boolean alongBatch = batch > 1;
    boolean alongColumns = !alongBatch && columns > rows;
    long size = alongBatch ? batch : alongColumns ? columns : rows;
    // Borders depend on sizes only, so that results do not depend on the number of threads.
    long grain = (size + PARTS - 1) / PARTS;
    if (!alongBatch) {
      grain = AttentionBlocks.roundUp(Math.max(SMALLEST_PART, grain), PART_UNIT);
    }
    workers.run(
        size,
        grain,
        (start, end) -> {
          long count = end - start;
          OneDnnMatmul.Form form =
              new OneDnnMatmul.Form(
                  DType.BF16,
                  c.dtype(),
                  alongBatch ? count : 1,
                  alongBatch || alongColumns ? rows : count,
                  alongColumns ? count : columns,
                  depth,
                  left,
                  right,
                  result,
                  addend,
                  false);
          long first = alongBatch ? left.batch() : alongColumns ? 0 : left.row();
          long second = alongBatch ? right.batch() : alongColumns ? right.column() : 0;
          long target = alongBatch ? result.batch() : alongColumns ? 1 : result.row();
          OneDnnMatmul.ofThisThread()
              .multiply(
                  form,
                  a.address() + start * first * a.dtype().byteSize(),
                  b.address() + start * second * b.dtype().byteSize(),
                  c.address() + start * target * c.dtype().byteSize(),
                  biases + (alongColumns ? start * Short.BYTES : 0));
        });
    return true;
  }

  /**
   * dw = dzᵀ x and db = the sums of dz's columns, which are added up while dz is packed for the
   * product; all bf16, db contiguous.
   *
   * @return whether that was done: by machine code of our own only
   */
  boolean parameterGradients(NDArray dz, NDArray x, NDArray dw, NDArray db) {
    if (machine == null || dz.size() == 0 || dw.size() == 0) {
      return false;
    }
    Block sums = memory.borrow(db.size() * Float.BYTES);
    try {
      Product p = product;
      p.describe(dz, true, x, false, 1, 0, dw);
      p.rowSums = sums.segment().address();
      Tiles.fill(p.rowSums, db.size(), 0);
      machine.multiply(p);
      Bf16Conversion.narrow(p.rowSums, db.address(), db.size());
    } finally {
      sums.release();
    }
    return true;
  }

  private boolean multiplyByMachineCode(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      NDArray c,
      @Nullable NDArray bias) {
    if (machine == null) {
      return false;
    }
    Product p = product;
    p.describe(a, transposeA, b, transposeB, 1, 0, c);
    if (bias == null) {
      machine.multiply(p);
      return true;
    }
    Block wide = memory.borrow(p.columns * Float.BYTES);
    try {
      p.bias = wide.segment().address();
      Bf16Conversion.widen(bias.address(), p.bias, p.columns);
      machine.multiply(p);
    } finally {
      wide.release();
    }
    return true;
  }

  /**
   * c = op(a) b, a gradient, with b packed once for all parts: the library, which packs a too where
   * it is transposed, then takes 0.92 of the time (Zen 5, [1536,2048] by [2048,384]), and 0.96
   * where it is not ([1568,1536] by [1536,384]). Packing a transposed b would take what it gains.
   *
   * @return whether it was done: only where all parts are alike, and so read the same order
   */
  private boolean multiplyPacked(NDArray a, boolean transposeA, NDArray b, NDArray c) {
    long rows = c.dim(0);
    // Parts of a transposed a begin within its rows: at whole vectors.
    if (rows % (transposeA ? PARTS * PART_UNIT : PARTS) != 0) {
      return false;
    }
    OneDnnMatmul.Steps left = steps(a, transposeA);
    OneDnnMatmul.Steps result = steps(c, false);
    long part = rows / PARTS;
    OneDnnMatmul.Form form =
        new OneDnnMatmul.Form(
            DType.BF16,
            c.dtype(),
            1,
            part,
            c.dim(1),
            a.dim(transposeA ? 0 : 1),
            left,
            steps(b, false),
            result,
            OneDnnMatmul.Addend.NOTHING,
            true);
    OneDnnMatmul here = OneDnnMatmul.ofThisThread();
    Block packed = memory.borrow(here.packedBytes(form));
    try {
      long to = packed.segment().address();
      here.pack(form, b.address(), to);
      workers.run(
          PARTS,
          1,
          (start, end) -> {
            for (long i = start * part; i < end * part; i += part) {
              OneDnnMatmul.ofThisThread()
                  .multiply(
                      form,
                      a.address() + i * left.row() * a.dtype().byteSize(),
                      to,
                      c.address() + i * result.row() * c.dtype().byteSize());
            }
          });
    } finally {
      packed.release();
    }
    return true;
  }

  private static OneDnnMatmul.Steps steps(NDArray x, boolean transposed) {
    long row = x.dim(-2) == 1 ? Math.max(1, x.dim(-1)) : x.stride(-2);
    long batch = x.rank() == 3 ? x.stride(0) : x.dim(-2) * row;
    return OneDnnMatmul.Steps.of(batch, row, transposed);
  }
}
