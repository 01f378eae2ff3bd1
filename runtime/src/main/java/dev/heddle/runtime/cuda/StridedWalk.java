package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.Arrays;

/**
 * Cuts a walk over strided arrays of one shape into pieces that a kernel can take: at most six dims
 * and fewer than 2^31 elements. Dims that lie without gaps in all arrays become one first, so nearly
 * every walk is one piece.
 *
 * <pre>{@code
 * walk.start(shape);
 * int x = walk.add(xArray);
 * int y = walk.add(yArray);
 * walk.cut();
 * while (walk.next()) {
 *   // walk.count() elements of walk.sizes(), from walk.offset(x) on with walk.strides(x)
 * }
 * }</pre>
 *
 * <p>Mutable and described anew for every call, so that a kernel makes no garbage.
 */
final class StridedWalk {
  /** Dims that kernels take. */
  static final int DIMS = 6;

  /** The largest number of elements of a piece. */
  static final long MOST = Integer.MAX_VALUE;

  private static final int OPERANDS = 3;

  private final long most;
  private long[] dims = new long[8];
  private final long[][] steps = new long[OPERANDS][8];
  private int rank;
  private int operands;

  // The pieces: dims before `split` are walked one index at a time, dim `split` by chunks.
  private int split;
  private long chunk;
  private long[] at = new long[8];
  private boolean started;
  private boolean empty;
  private long count;
  private final long[] sizes = new long[DIMS];
  private final long[][] pieceStrides = new long[OPERANDS][DIMS];

  StridedWalk() {
    this(MOST);
  }

  /** With pieces of at most {@code most} elements, to test that they are cut well. */
  StridedWalk(long most) {
    this.most = most;
  }

  /** Begins the description of a walk over {@code shape}. */
  void start(Shape shape) {
    rank = Math.max(1, shape.rank());
    operands = 0;
    if (rank > dims.length) {
      dims = new long[rank];
      at = new long[rank];
      for (int i = 0; i < OPERANDS; i++) {
        steps[i] = new long[rank];
      }
    }
    dims[0] = 1;
    for (int i = 0; i < shape.rank(); i++) {
      dims[i] = shape.dim(i);
    }
    empty = shape.size() == 0;
  }

  /** Adds an array, stretched to the shape by numpy rules; returns its number. */
  int add(NDArray x) {
    long[] mine = steps[operands];
    Arrays.fill(mine, 0, rank, 0);
    for (int i = 1; i <= x.rank(); i++) {
      mine[rank - i] = x.dim(-i) == 1 ? 0 : x.stride(-i);
    }
    return operands++;
  }

  /** Adds something whose places are {@code strides} times the indices; returns its number. */
  int add(long[] strides) {
    long[] mine = steps[operands];
    mine[0] = 0;
    System.arraycopy(strides, 0, mine, 0, strides.length);
    return operands++;
  }

  /** Ends the description. */
  void cut() {
    join();
    // The innermost dims that fit into one piece, and as much as fits of the next.
    split = rank - 1;
    long inner = 1;
    while (split > 0 && rank - split < DIMS && inner * Math.max(1, dims[split]) <= most) {
      inner *= Math.max(1, dims[split]);
      split--;
    }
    if (inner * Math.max(1, dims[split]) <= most) {
      chunk = Math.max(1, dims[split]);
    } else {
      chunk = Math.max(1, most / inner);
    }
    Arrays.fill(at, 0, rank, 0);
    started = false;
  }

  /** Drops dims of size 1 and makes one of neighbours that lie without gaps in all arrays. */
  private void join() {
    int last = -1;
    for (int i = 0; i < rank; i++) {
      if (dims[i] == 1) {
        continue;
      }
      boolean joins = last >= 0;
      for (int k = 0; joins && k < operands; k++) {
        joins = steps[k][last] == steps[k][i] * dims[i];
      }
      if (joins) {
        dims[last] *= dims[i];
      } else {
        last++;
        dims[last] = dims[i];
      }
      for (int k = 0; k < operands; k++) {
        steps[k][last] = steps[k][i];
      }
    }
    if (last < 0) {
      dims[0] = 1;
      for (int k = 0; k < operands; k++) {
        steps[k][0] = 0;
      }
      last = 0;
    }
    rank = last + 1;
  }

  /** Dims after joining. */
  int rank() {
    return rank;
  }

  /** Size of a joined dim. */
  long dim(int index) {
    return dims[index];
  }

  /** Stride of an operand in a joined dim. */
  long stride(int operand, int index) {
    return steps[operand][index];
  }

  /** Whether the operand is one run of elements. */
  boolean isRun(int operand) {
    return rank == 1 && (steps[operand][0] == 1 || dims[0] == 1);
  }

  /** Goes to the next piece; false if there is none. */
  boolean next() {
    if (empty) {
      return false;
    }
    if (started && !advance()) {
      return false;
    }
    started = true;
    int outer = DIMS - (rank - split);
    Arrays.fill(sizes, 0, outer, 1);
    sizes[outer] = Math.min(chunk, dims[split] - at[split]);
    count = sizes[outer];
    for (int i = split + 1; i < rank; i++) {
      sizes[outer + i - split] = dims[i];
      count *= dims[i];
    }
    for (int k = 0; k < operands; k++) {
      Arrays.fill(pieceStrides[k], 0, outer, 0);
      System.arraycopy(steps[k], split, pieceStrides[k], outer, rank - split);
    }
    return true;
  }

  private boolean advance() {
    at[split] += chunk;
    if (at[split] < dims[split]) {
      return true;
    }
    at[split] = 0;
    for (int i = split - 1; i >= 0; i--) {
      if (++at[i] < dims[i]) {
        return true;
      }
      at[i] = 0;
    }
    return false;
  }

  /** Elements of this piece. */
  int count() {
    return (int) count;
  }

  /** The piece's sizes, outermost first, unused ones 1. */
  long[] sizes() {
    return sizes;
  }

  /** An operand's strides within the piece. */
  long[] strides(int operand) {
    return pieceStrides[operand];
  }

  /** Where the piece begins in an operand, counted from the operand's first element. */
  long offset(int operand) {
    long sum = 0;
    for (int i = 0; i <= split; i++) {
      sum += at[i] * steps[operand][i];
    }
    return sum;
  }
}
