package dev.heddle.runtime.cpu;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Matrix products by oneDNN's {@code dnnl_sgemm}. The library runs one thread a call; products are
 * cut here, along rows or columns of C at borders that depend on sizes only, and the rank's threads
 * take the parts.
 *
 * <p>Weight gradients, transposed times plain, are left to {@link PackedMultiply} where vectors
 * have 256 bits: there the library reaches 71 GF/s and Java 89, on the processor that this was
 * measured on (Zen 3, one thread, 1568 × 1536 × 384).
 *
 * <p>The generated binding takes segments; this handle takes the same arguments with addresses as
 * numbers, so that a call makes no garbage.
 */
final class OneDnnMultiply implements MatrixMultiply {
  /** Parts to cut a product into, so that a few threads end at about the same time. */
  private static final int PARTS = 4;

  /** A part has at least this many rows or columns: each part packs the other operand again. */
  private static final long SMALLEST_PART = 96;

  /** Multiply-adds below which cutting costs more than it gains. */
  private static final long SMALL = 1L << 21;

  /** Multiply-adds of one matrix of a batch up to which the matmul primitive is faster. */
  private static final long PRIMITIVE_AT_MOST = 1L << 18;

  /** Parts of a batch for the primitive: few, since each size is a primitive of its own. */
  private static final long BATCH_PARTS = 4;

  private static final byte PLAIN = 'N';
  private static final byte TRANSPOSED = 'T';

  private static final MethodHandle SGEMM =
      handle(
          "dnnl_sgemm",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_BYTE,
              ValueLayout.JAVA_BYTE,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_FLOAT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_FLOAT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG));

  private static final MethodHandle SET_THREADS =
      handle("omp_set_num_threads", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT));

  /** The library's number of threads is a setting of each thread that calls it. */
  private static final ThreadLocal<Boolean> ONE_THREAD =
      ThreadLocal.withInitial(OneDnnMultiply::useOneThread);

  private final WorkerPool workers;
  private final MatrixMultiply weightGradients;
  private final WorkerPool.RangeTask partTask = this::parts;
  private final WorkerPool.RangeTask batchTask = this::batch;
  private final WorkerPool.RangeTask primitiveTask = this::primitives;

  private Product product = new Product();
  private boolean alongRows;
  private long parts;

  OneDnnMultiply(WorkerPool workers, MemoryPool memory) {
    this.workers = workers;
    this.weightGradients = Lanes.LENGTH <= 8 ? new PackedMultiply(workers, memory) : this;
  }

  private static MethodHandle handle(String name, FunctionDescriptor descriptor) {
    MemorySegment address =
        NativeLibrary.ONEDNN
            .find(name)
            .orElseThrow(() -> new IllegalStateException(NativeLibrary.ONEDNN.reason()));
    return Linker.nativeLinker().downcallHandle(address, descriptor);
  }

  private static Boolean useOneThread() {
    try {
      SET_THREADS.invokeExact(1);
    } catch (Throwable thrown) {
      throw new IllegalStateException("oneDNN: omp_set_num_threads(1) failed", thrown);
    }
    return Boolean.TRUE;
  }

  /** Makes the library run the calling thread's calls on that thread alone. */
  static void useOneThreadHere() {
    ONE_THREAD.get();
  }

  @Override
  public String name() {
    return "oneDNN products";
  }

  @Override
  public void multiply(Product newProduct) {
    product = newProduct;
    if (newProduct.batch > 1) {
      boolean primitive = suitsPrimitive(newProduct);
      long grain = primitive ? (newProduct.batch + BATCH_PARTS - 1) / BATCH_PARTS : 1;
      workers.run(newProduct.batch, grain, primitive ? primitiveTask : batchTask);
      return;
    }
    boolean small = newProduct.rows * newProduct.columns * newProduct.depth < SMALL;
    if (newProduct.transposeA && !newProduct.transposeB && !small && weightGradients != this) {
      weightGradients.multiply(newProduct);
      return;
    }
    alongRows = newProduct.rows >= newProduct.columns;
    long size = alongRows ? newProduct.rows : newProduct.columns;
    parts = small ? 1 : Math.clamp(size / SMALLEST_PART, 1, PARTS);
    workers.run(parts, 1, partTask);
  }

  /**
   * Small matrices go to the matmul primitive, many in a call; for larger ones {@code dnnl_sgemm}
   * is faster (measured: 64 × 64 × 32 by 80 to 74 GF/s, 196 × 196 × 64 the other way round, 75 to
   * 84).
   */
  private static boolean suitsPrimitive(Product p) {
    return p.alpha == 1 && p.beta == 0 && p.rows * p.columns * p.depth <= PRIMITIVE_AT_MOST;
  }

  private void primitives(long start, long end) {
    Product p = product;
    OneDnnMatmul.Form form =
        new OneDnnMatmul.Form(
            DType.F32,
            DType.F32,
            end - start,
            p.rows,
            p.columns,
            p.depth,
            OneDnnMatmul.Steps.of(p.aBatchStride / 4, p.aStride / 4, p.transposeA),
            OneDnnMatmul.Steps.of(p.bBatchStride / 4, p.bStride / 4, p.transposeB),
            OneDnnMatmul.Steps.of(p.cBatchStride / 4, p.cStride / 4, false));
    OneDnnMatmul.ofThisThread()
        .multiply(
            form,
            p.a + start * p.aBatchStride,
            p.b + start * p.bBatchStride,
            p.c + start * p.cBatchStride);
  }

  private void batch(long start, long end) {
    Product p = product;
    for (long i = start; i < end; i++) {
      sgemm(
          p,
          p.rows,
          p.columns,
          p.a + i * p.aBatchStride,
          p.b + i * p.bBatchStride,
          p.c + i * p.cBatchStride);
    }
  }

  private void parts(long start, long end) {
    Product p = product;
    for (long part = start; part < end; part++) {
      long size = alongRows ? p.rows : p.columns;
      // Borders at whole vectors keep the library on its fast path.
      long from = border(size, part);
      long count = border(size, part + 1) - from;
      if (alongRows) {
        sgemm(p, count, p.columns, p.aAt(from, 0), p.b, p.c + from * p.cStride);
        p.finish(from, count, 0, p.columns);
      } else {
        sgemm(p, p.rows, count, p.a, p.bAt(0, from), p.c + 4 * from);
        p.finish(0, p.rows, from, count);
      }
    }
  }

  private long border(long size, long part) {
    return part == parts ? size : size * part / parts & -16L;
  }

  private static void sgemm(Product p, long rows, long columns, long a, long b, long c) {
    ONE_THREAD.get();
    int status;
    try {
      status =
          (int)
              SGEMM.invokeExact(
                  p.transposeA ? TRANSPOSED : PLAIN,
                  p.transposeB ? TRANSPOSED : PLAIN,
                  rows,
                  columns,
                  p.depth,
                  p.alpha,
                  a,
                  p.aStride / 4,
                  b,
                  p.bStride / 4,
                  p.beta,
                  c,
                  p.cStride / 4);
    } catch (Throwable thrown) {
      throw new IllegalStateException("oneDNN: the call of dnnl_sgemm failed", thrown);
    }
    if (status != 0) {
      throw new IllegalStateException(
          "oneDNN: dnnl_sgemm of ["
              + rows
              + ","
              + p.depth
              + "] by ["
              + p.depth
              + ","
              + columns
              + "] returned status "
              + status);
    }
  }
}
