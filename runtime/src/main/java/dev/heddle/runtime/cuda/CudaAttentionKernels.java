package dev.heddle.runtime.cuda;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import org.jspecify.annotations.Nullable;

/**
 * Launches {@code attention.cu}, and {@code attention_mma.cu} where the arrays and the GPU allow
 * it: bf16, compute capability 8.0, head sizes that are multiples of 8 up to 128, and vectors of
 * heads that begin at multiples of 16 bytes.
 */
final class CudaAttentionKernels {
  private static final int MMA_ROWS = 64;
  private static final int MMA_THREADS = 128;
  private static final int MMA_CAPABILITY = 80;
  private static final int CHUNK_BYTES = 16;

  /** The kernels for head sizes up to some size, and the rows and threads of their blocks. */
  private record Variant(
      CudaFunction forward,
      CudaFunction backwardQueries,
      CudaFunction backwardKeys,
      int forwardRows,
      int forwardThreads,
      int backwardRows,
      int backwardThreads) {}

  /** Rows and threads of blocks, as at the end of attention.cu: for 32, 64, 128 and 256. */
  private static final int[][] SHAPES = {
    {64, 128, 32, 128}, {64, 128, 32, 128}, {32, 128, 16, 128}, {16, 128, 8, 64}
  };

  private static final int[][] SHAPES_F64 = {
    {32, 128, 16, 128}, {32, 128, 16, 128}, {16, 128, 8, 64}
  };

  private static final int SMALLEST = 32;

  private final CudaLauncher launcher;
  private final CudaFunction delta;
  private final int[][] shapes;

  // By the doublings of SMALLEST; each is made, and so compiled, at its first use.
  private final @Nullable Variant[] general;
  private final @Nullable Variant[] tensorCores = new Variant[3];
  private final long[] problem = new long[6];
  private final long[] strides = new long[3];

  CudaAttentionKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.delta = launcher.real("attention_delta", "attention_delta");
    this.shapes = launcher.dtype() == DType.F64 ? SHAPES_F64 : SHAPES;
    this.general = new Variant[shapes.length];
  }

  /** The doublings of SMALLEST that make room for a head. */
  private static int doublings(long headSize) {
    int index = 0;
    while (SMALLEST << index < headSize) {
      index++;
    }
    return index;
  }

  private Variant tensorCoreVariant(long headSize) {
    int index = doublings(headSize);
    Variant variant = tensorCores[index];
    if (variant == null) {
      int size = SMALLEST << index;
      String module = "attention_mma_" + size;
      variant =
          new Variant(
              launcher.shared(module, "attention_mma_forward_" + size),
              launcher.shared(module, "attention_mma_backward_queries_" + size),
              launcher.shared(module, "attention_mma_backward_keys_" + size),
              MMA_ROWS,
              MMA_THREADS,
              MMA_ROWS,
              MMA_THREADS);
      tensorCores[index] = variant;
    }
    return variant;
  }

  private Variant generalVariant(long headSize) {
    int index = doublings(headSize);
    if (index >= shapes.length) {
      throw new IllegalArgumentException(
          "attention: head size "
              + headSize
              + " in "
              + launcher.dtype()
              + " on "
              + launcher.device().name()
              + "; wanted at most "
              + (SMALLEST << shapes.length - 1));
    }
    Variant variant = general[index];
    if (variant == null) {
      int size = SMALLEST << index;
      int[] shape = shapes[index];
      String module = "attention_" + size;
      variant =
          new Variant(
              launcher.real(module, "attention_forward_" + size),
              launcher.real(module, "attention_backward_queries_" + size),
              launcher.real(module, "attention_backward_keys_" + size),
              shape[0],
              shape[1],
              shape[2],
              shape[3]);
      general[index] = variant;
    }
    return variant;
  }

  /** Whether the GPU and the head size allow tensor cores at all. */
  private boolean hasTensorCores(long headSize) {
    return launcher.dtype() == DType.BF16
        && launcher.computeCapability() >= MMA_CAPABILITY
        && headSize % 8 == 0
        && headSize <= 128
        && headSize > 0;
  }

  /** Whether every head's vector begins at a multiple of 16 bytes. */
  private static boolean aligned(NDArray x) {
    boolean aligned = x.address() % CHUNK_BYTES == 0;
    for (int i = 0; i < 3; i++) {
      aligned &= x.dim(i) == 1 || x.stride(i) * x.dtype().byteSize() % CHUNK_BYTES == 0;
    }
    return aligned;
  }

  void attention(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray out,
      NDArray logSumExp) {
    long headSize = q.dim(3);
    boolean tensorCores =
        hasTensorCores(headSize) && aligned(q) && aligned(k) && aligned(v) && aligned(out);
    Variant variant = tensorCores ? tensorCoreVariant(headSize) : generalVariant(headSize);
    LaunchArguments arguments = problem(q, k, mask);
    heads(heads(heads(arguments, q), k), v);
    heads(launcher.scalar(arguments, scale), out).pointer(logSumExp);
    int blocks = blocks(q, variant.forwardRows());
    launcher.launch(variant.forward(), blocks, 1, 1, variant.forwardThreads(), 1, arguments);
  }

  void attentionBackward(
      NDArray q,
      NDArray k,
      NDArray v,
      NDArray out,
      NDArray logSumExp,
      NDArray dout,
      AttentionMask mask,
      double scale,
      NDArray dq,
      NDArray dk,
      NDArray dv) {
    long headSize = q.dim(3);
    boolean tensorCores =
        hasTensorCores(headSize)
            && aligned(q)
            && aligned(k)
            && aligned(v)
            && aligned(dout)
            && aligned(dq)
            && aligned(dk)
            && aligned(dv);
    Variant variant = tensorCores ? tensorCoreVariant(headSize) : generalVariant(headSize);
    long rows = logSumExp.size();
    Block sums = launcher.scratch(rows * launcher.sumBytes());
    try {
      long deltas = sums.segment().address();
      LaunchArguments first = problem(q, k, mask).int64(rows);
      heads(heads(first, out), dout).pointer(deltas);
      launcher.overElements(delta, rows, first);

      LaunchArguments second = backwardInputs(q, k, v, mask, logSumExp, deltas, dout, scale);
      launcher.launch(
          variant.backwardQueries(),
          blocks(q, variant.backwardRows()),
          1,
          1,
          variant.backwardThreads(),
          1,
          heads(second, dq));

      LaunchArguments third = backwardInputs(q, k, v, mask, logSumExp, deltas, dout, scale);
      launcher.launch(
          variant.backwardKeys(),
          blocks(k, variant.backwardRows()),
          1,
          1,
          variant.backwardThreads(),
          1,
          heads(heads(third, dk), dv));
    } finally {
      sums.release();
    }
  }

  private LaunchArguments backwardInputs(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      NDArray logSumExp,
      long deltas,
      NDArray dout,
      double scale) {
    LaunchArguments arguments = problem(q, k, mask);
    heads(heads(heads(arguments, q), k), v).pointer(logSumExp).pointer(deltas);
    return launcher.scalar(heads(arguments, dout), scale);
  }

  /** Tiles of positions of the heads of all batches. */
  private static int blocks(NDArray x, int rows) {
    long tiles = CudaLauncher.ceilDivide(x.dim(1), rows);
    return Math.toIntExact(tiles * x.dim(0) * x.dim(2));
  }

  /** The members of Problem. */
  private LaunchArguments problem(NDArray q, NDArray k, AttentionMask mask) {
    long keyHeads = k.dim(2);
    long keys = k.dim(1);
    problem[0] = q.dim(1);
    problem[1] = keys;
    problem[2] = q.dim(2);
    problem[3] = keyHeads == 0 ? 1 : q.dim(2) / keyHeads;
    problem[4] = q.dim(3);
    problem[5] = mask.causal() ? mask.queryStart() - mask.keyStart() : keys;
    return launcher.arguments().int64s(problem, problem.length);
  }

  /** An array of heads and its strides. */
  private LaunchArguments heads(LaunchArguments arguments, NDArray x) {
    for (int i = 0; i < strides.length; i++) {
      strides[i] = x.stride(i);
    }
    return arguments.pointer(x).int64s(strides, strides.length);
  }
}
