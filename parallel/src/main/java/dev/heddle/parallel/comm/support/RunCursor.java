package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.Message;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.BulkMemory;
import java.lang.foreign.MemorySegment;

/**
 * Walks the elements of an array in row-major order as runs of contiguous memory, so that any two
 * views can be copied or combined without packing: both are walked in step, the shorter run at a
 * time. Reused for one array after the other; allocates nothing.
 */
public final class RunCursor {
  private static final int MAXIMUM_RANK = 16;

  private MemorySegment segment = MemorySegment.NULL;
  private int elementSize;
  private long runLength;

  // The dims outside a run, outermost first, with the odometer over them.
  private int outerDims;
  private final long[] sizes = new long[MAXIMUM_RANK];
  private final long[] strides = new long[MAXIMUM_RANK];
  private final long[] index = new long[MAXIMUM_RANK];

  // The run in progress.
  private long byteOffset;
  private long available;
  private long runStart;

  // The picked rows of a matrix, if any: one walk over dims for each interval.
  private boolean picked;
  private long firstElement;
  private long rowStride;
  private long columnStride;
  private long[] rowBounds = new long[0];
  private long columnCount;
  private int nextInterval;

  /** Starts at the first element of {@code array}. */
  public void start(NDArray array) {
    start(array, array.segment());
  }

  private void start(NDArray array, MemorySegment memory) {
    picked = false;
    segment = memory;
    elementSize = array.dtype().byteSize();
    if (array.rank() > MAXIMUM_RANK) {
      throw new IllegalArgumentException(
          "arrays of more than " + MAXIMUM_RANK + " dims are not communicated, got " + array);
    }
    int rank = array.rank();
    for (int dim = 0; dim < rank; dim++) {
      sizes[dim] = array.dim(dim);
      strides[dim] = array.stride(dim);
    }
    startDims(rank, array.offset(), array.size());
  }

  /** Starts at the first element of the message. */
  public void start(Message message) {
    start(message, message.array().segment());
  }

  /** As {@link #start(Message)}, of a message whose array's {@code memory} is known already. */
  public void start(Message message, MemorySegment memory) {
    long[] bounds = message.rowBounds();
    if (bounds == null) {
      start(message.array(), memory);
    } else {
      rowStride = message.rowStride();
      columnStride = message.columnStride();
      long first = message.firstElement() + message.firstColumn() * columnStride;
      startRows(message.dtype(), memory, first, bounds, message.columnCount());
    }
  }

  /**
   * Starts at the first element of the given row intervals of a matrix [R,C]; see {@link
   * Message#sendRows}.
   */
  public void startRows(NDArray matrix, long[] bounds, long column, long columns) {
    rowStride = matrix.stride(0);
    columnStride = matrix.stride(1);
    long first = matrix.offset() + column * columnStride;
    startRows(matrix.dtype(), matrix.segment(), first, bounds, columns);
  }

  /** Starts at element {@code first} of the memory, in row 0; the strides are set. */
  private void startRows(
      DType dtype, MemorySegment memory, long first, long[] bounds, long columns) {
    segment = memory;
    elementSize = dtype.byteSize();
    picked = true;
    firstElement = first;
    rowBounds = bounds;
    columnCount = columns;
    nextInterval = 0;
    available = 0;
    outerDims = 0;
    if (columns > 0) {
      startInterval();
    }
  }

  /** Starts at the first of {@code elements} elements that lie together in {@code memory}. */
  public void start(MemorySegment memory, int bytesPerElement, long elements) {
    picked = false;
    segment = memory;
    elementSize = bytesPerElement;
    outerDims = 0;
    runLength = elements;
    runStart = 0;
    byteOffset = 0;
    available = elements;
  }

  private void startInterval() {
    while (nextInterval < rowBounds.length) {
      long start = rowBounds[nextInterval];
      long rows = rowBounds[nextInterval + 1] - start;
      nextInterval += 2;
      if (rows > 0) {
        sizes[0] = rows;
        sizes[1] = columnCount;
        strides[0] = rowStride;
        strides[1] = columnStride;
        startDims(2, firstElement + start * rowStride, rows * columnCount);
        return;
      }
    }
  }

  /** Splits dims 0 to {@code rank} - 1 into the contiguous run and the dims outside it. */
  private void startDims(int rank, long firstElement, long elementCount) {
    long run = 1;
    int dim = rank - 1;
    while (dim >= 0 && (sizes[dim] == 1 || strides[dim] == run)) {
      run *= sizes[dim];
      dim--;
    }
    outerDims = dim + 1;
    for (int i = 0; i < outerDims; i++) {
      index[i] = 0;
    }
    runLength = run;
    runStart = firstElement;
    byteOffset = firstElement * elementSize;
    available = elementCount == 0 ? 0 : run;
  }

  /** Elements left in the contiguous run at hand; 0 at the end. */
  public long available() {
    return available;
  }

  /** The memory that {@link #byteOffset()} counts in. */
  public MemorySegment segment() {
    return segment;
  }

  /** Where the next element is. */
  public long byteOffset() {
    return byteOffset;
  }

  /** Goes {@code elements} on, at most {@link #available()}. */
  public void advance(long elements) {
    available -= elements;
    byteOffset += elements * elementSize;
    if (available == 0) {
      nextRun();
    }
  }

  private void nextRun() {
    int dim = outerDims - 1;
    while (dim >= 0) {
      runStart += strides[dim];
      if (++index[dim] < sizes[dim]) {
        byteOffset = runStart * elementSize;
        available = runLength;
        return;
      }
      runStart -= sizes[dim] * strides[dim];
      index[dim] = 0;
      dim--;
    }
    if (picked) {
      startInterval();
    }
  }

  /** Goes to element {@code element} of a whole array, counted from its start. */
  public void seek(long element) {
    long run = element / runLength;
    long within = element % runLength;
    for (int dim = outerDims - 1; dim >= 0; dim--) {
      long position = run % sizes[dim];
      run /= sizes[dim];
      runStart += (position - index[dim]) * strides[dim];
      index[dim] = position;
    }
    byteOffset = (runStart + within) * elementSize;
    available = runLength - within;
  }

  /** Copies {@code elements} elements from one walk to the other. */
  public static void copy(RunCursor from, RunCursor to, long elements) {
    long left = elements;
    while (left > 0) {
      long count = Math.min(left, Math.min(from.available, to.available));
      copyRun(from, to, count);
      from.advance(count);
      to.advance(count);
      left -= count;
    }
  }

  private static void copyRun(RunCursor from, RunCursor to, long count) {
    boolean inPlace =
        from.byteOffset == to.byteOffset && from.segment.address() == to.segment.address();
    if (!inPlace) {
      BulkMemory.copy(
          from.segment, from.byteOffset, to.segment, to.byteOffset, count * from.elementSize);
    }
  }
}
