package dev.heddle.runtime;

import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.runtime.memory.Owned;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * An n-dimensional array: a window (shape, strides, offset) on a block of device memory. Views
 * share the block and cost no copy. The memory belongs to the {@link MemoryScope} that was
 * innermost when it was allocated; using an array after that scope closed is an error that says so.
 *
 * <p>An array computes nothing by itself: {@link Kernels} do. Like its block it belongs to one rank
 * thread.
 */
public final class NDArray implements Owned {
  private final Device device;
  private final Block block;
  private final int generation;
  private final DType dtype;
  private final Shape shape;
  private final long[] strides;
  private final long offset;
  private final boolean contiguous;

  private NDArray(
      Device device, Block block, DType dtype, Shape shape, long[] strides, long offset) {
    this.device = device;
    this.block = block;
    this.generation = block.generation();
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.contiguous = isContiguous(shape, strides);
  }

  // ---- making arrays

  /** A new array with unspecified contents. */
  public static NDArray empty(Device device, DType dtype, Shape shape) {
    Block block = device.memory().allocate(shape.size() * dtype.byteSize());
    return new NDArray(device, block, dtype, shape, shape.sharedContiguousStrides(), 0);
  }

  /** A new array with unspecified contents. */
  public static NDArray empty(Device device, DType dtype, long... dims) {
    return empty(device, dtype, Shape.of(dims));
  }

  /** A new array of zeros. */
  public static NDArray zeros(Device device, DType dtype, Shape shape) {
    return full(device, dtype, shape, 0);
  }

  /** A new array of zeros. */
  public static NDArray zeros(Device device, DType dtype, long... dims) {
    return full(device, dtype, Shape.of(dims), 0);
  }

  /** A new array with every element {@code value}. */
  public static NDArray full(Device device, DType dtype, Shape shape, double value) {
    NDArray array = empty(device, dtype, shape);
    device.kernels(dtype).fill(array, value);
    return array;
  }

  /** A new array with the values given in row-major order, converted to {@code dtype}. */
  public static NDArray of(Device device, DType dtype, Shape shape, double... values) {
    checkCount(shape, values.length);
    NDArray array = empty(device, dtype, shape);
    array.writeDoubles(values);
    return array;
  }

  /** A new F32 array with the values given in row-major order. */
  public static NDArray of(Device device, Shape shape, float... values) {
    checkCount(shape, values.length);
    NDArray array = empty(device, DType.F32, shape);
    device.copyFromHost(MemorySegment.ofArray(values), array.block, 0);
    return array;
  }

  /** A new I64 array with the values given in row-major order. */
  public static NDArray of(Device device, Shape shape, long... values) {
    checkCount(shape, values.length);
    NDArray array = empty(device, DType.I64, shape);
    device.copyFromHost(MemorySegment.ofArray(values), array.block, 0);
    return array;
  }

  /** A new I32 array with the values given in row-major order. */
  public static NDArray of(Device device, Shape shape, int... values) {
    checkCount(shape, values.length);
    NDArray array = empty(device, DType.I32, shape);
    device.copyFromHost(MemorySegment.ofArray(values), array.block, 0);
    return array;
  }

  private static void checkCount(Shape shape, long count) {
    if (shape.size() != count) {
      throw new IllegalArgumentException(
          "NDArray.of: shape " + shape + " has " + shape.size() + " elements, got " + count);
    }
  }

  // ---- what it is

  /** The device that holds the memory. */
  public Device device() {
    return device;
  }

  /** The primitives for this array's device and dtype. */
  public Kernels kernels() {
    return device.kernels(dtype);
  }

  /** The element type. */
  public DType dtype() {
    return dtype;
  }

  /** The sizes of the dims. */
  public Shape shape() {
    return shape;
  }

  /** Number of dims. */
  public int rank() {
    return shape.rank();
  }

  /** Size of dim {@code index}, negative counting from the innermost. */
  public long dim(int index) {
    return shape.dim(index);
  }

  /** Number of elements. */
  public long size() {
    return shape.size();
  }

  /** Elements between neighbours along dim {@code index}; 0 for a broadcast dim. */
  public long stride(int index) {
    return strides[shape.normalize(index)];
  }

  /** Elements from the start of the block to this array's first element. */
  public long offset() {
    return offset;
  }

  /** Bytes from the start of {@link #segment()} to this array's first element. */
  public long byteOffset() {
    return offset * dtype.byteSize();
  }

  /** Whether the elements lie row-major without gaps, so that memory order is index order. */
  public boolean isContiguous() {
    return contiguous;
  }

  /**
   * The block behind this array.
   *
   * @throws IllegalStateException if the memory was given back
   */
  @Override
  public Block block() {
    checkLive();
    return block;
  }

  /** The block's memory, to be indexed from {@link #byteOffset()}; see {@link Block#segment()}. */
  public MemorySegment segment() {
    checkLive();
    return block.segment();
  }

  /** The address of this array's first element. */
  public long address() {
    checkLive();
    return block.segment().address() + byteOffset();
  }

  /** Whether the memory is still this array's. */
  public boolean isLive() {
    return block.generation() == generation;
  }

  private void checkLive() {
    if (block.generation() != generation) {
      throw new IllegalStateException(
          "NDArray "
              + dtype
              + shape
              + " is used after its memory was given back: its MemoryScope"
              + " is closed, or backward() consumed it; hand it on with scope.keep(array) or pass"
              + " retainGraph");
    }
  }

  // ---- ownership

  /** Keeps the memory alive beyond its scope until {@link #release()}; for graphs and caches. */
  public NDArray retain() {
    block().retain();
    return this;
  }

  /** Ends one {@link #retain()}. */
  public void release() {
    block().release();
  }

  /**
   * The same elements for whoever has the memory now, if it was given back and handed out again:
   * for {@linkplain WorkRecorder recorded work}, which keeps its memory and uses it over and over.
   *
   * @throws IllegalStateException if nobody has it
   */
  public NDArray ofNow() {
    if (isLive()) {
      return this;
    }
    if (block.references() == 0) {
      throw new IllegalStateException(
          "NDArray.ofNow: the memory of " + dtype + shape + " is in nobody's use");
    }
    return new NDArray(device, block, dtype, shape, strides, offset);
  }

  /** Gives the memory back before its scope closes (unless retained elsewhere). */
  public void free() {
    block().disown();
  }

  // ---- views

  /** A view with dims {@code a} and {@code b} swapped. */
  public NDArray transpose(int a, int b) {
    int i = shape.normalize(a);
    int j = shape.normalize(b);
    long[] dims = shape.toArray();
    long[] newStrides = strides.clone();
    dims[i] = shape.dim(j);
    dims[j] = shape.dim(i);
    newStrides[i] = strides[j];
    newStrides[j] = strides[i];
    return view(Shape.of(dims), newStrides, offset);
  }

  /** A view with the dims in the given order. */
  public NDArray permute(int... order) {
    if (order.length != rank()) {
      throw new IllegalArgumentException(
          "NDArray.permute: shape "
              + shape
              + " has "
              + rank()
              + " dims, got the order "
              + Arrays.toString(order));
    }
    long[] dims = new long[order.length];
    long[] newStrides = new long[order.length];
    boolean[] seen = new boolean[order.length];
    for (int i = 0; i < order.length; i++) {
      int from = shape.normalize(order[i]);
      if (seen[from]) {
        throw new IllegalArgumentException(
            "NDArray.permute: dim " + from + " is named twice in " + Arrays.toString(order));
      }
      seen[from] = true;
      dims[i] = shape.dim(from);
      newStrides[i] = strides[from];
    }
    return view(Shape.of(dims), newStrides, offset);
  }

  /** A view of indices {@code start} (inclusive) to {@code end} (exclusive) along one dim. */
  public NDArray slice(int dim, long start, long end) {
    int index = shape.normalize(dim);
    if (start < 0 || end < start || end > shape.dim(index)) {
      throw new IllegalArgumentException(
          "NDArray.slice: ["
              + start
              + ","
              + end
              + ") is not within dim "
              + dim
              + " of size "
              + shape.dim(index)
              + " of shape "
              + shape);
    }
    Shape part = shape.with(index, end - start);
    // Where nothing is viewed, the view stays where it is: its end may lie beyond the block.
    return view(part, strides, part.size() == 0 ? offset : offset + start * strides[index]);
  }

  /** A view with size-1 dims stretched to {@code target} by stride 0, numpy rules. */
  public NDArray expand(Shape target) {
    if (target.equals(shape)) {
      return this;
    }
    if (!stretchesTo(target)) {
      throw new IllegalArgumentException(
          "NDArray.expand: "
              + shape
              + " does not stretch to "
              + target
              + ": aligned at the innermost dim, its sizes must be those of the target or 1");
    }
    long[] newStrides = new long[target.rank()];
    for (int i = 1; i <= shape.rank(); i++) {
      newStrides[target.rank() - i] = shape.dim(-i) == 1 ? 0 : strides[shape.rank() - i];
    }
    return view(target, newStrides, offset);
  }

  private boolean stretchesTo(Shape target) {
    boolean fits = rank() <= target.rank();
    for (int i = 1; fits && i <= rank(); i++) {
      fits = dim(-i) == target.dim(-i) || dim(-i) == 1;
    }
    return fits;
  }

  /**
   * The same elements in row-major order under another shape: a view where the strides allow it,
   * else a copy. One size may be -1: it is inferred.
   */
  public NDArray reshape(long... dims) {
    return reshape(inferred(dims));
  }

  /** The same elements under another shape: a view where the strides allow it, else a copy. */
  public NDArray reshape(Shape target) {
    if (target.size() != size()) {
      throw new IllegalArgumentException(
          "NDArray.reshape: "
              + shape
              + " has "
              + size()
              + " elements, "
              + target
              + " has "
              + target.size());
    }
    if (contiguous) {
      if (target.equals(shape)) {
        return this;
      }
      return view(target, target.sharedContiguousStrides(), offset);
    }
    long[] newStrides = viewStrides(target);
    return newStrides.length == target.rank() && target.rank() > 0
        ? view(target, newStrides, offset)
        : contiguous().reshape(target);
  }

  private Shape inferred(long[] dims) {
    long known = 1;
    int unknown = -1;
    for (int i = 0; i < dims.length; i++) {
      if (dims[i] == -1) {
        if (unknown >= 0) {
          throw new IllegalArgumentException(
              "NDArray.reshape: only one size may be -1, got " + Arrays.toString(dims));
        }
        unknown = i;
      } else {
        known *= dims[i];
      }
    }
    if (unknown < 0) {
      return Shape.of(dims);
    }
    if (known == 0 || size() % known != 0) {
      throw new IllegalArgumentException(
          "NDArray.reshape: " + shape + " does not fit " + Arrays.toString(dims));
    }
    long[] full = dims.clone();
    full[unknown] = size() / known;
    return Shape.of(full);
  }

  /** Strides for a reshape without copy, or an empty array where there are none. */
  private long[] viewStrides(Shape target) {
    long[] result = new long[target.rank()];
    int to = target.rank() - 1;
    int from = rank() - 1;
    while (from >= 0) {
      // A run of source dims that lie without gaps behaves as one dim of `span` elements.
      long span = shape.dim(from);
      long stride = strides[from];
      int start = from;
      while (start > 0
          && (shape.dim(start - 1) == 1 || span == 1 || strides[start - 1] == stride * span)) {
        start--;
        if (span == 1) {
          stride = strides[start];
        }
        span *= shape.dim(start);
      }
      long filled = 1;
      while (to >= 0 && filled * target.dim(to) <= span && (filled < span || target.dim(to) == 1)) {
        result[to] = filled * stride;
        filled *= target.dim(to);
        to--;
      }
      if (filled != span) {
        return new long[0];
      }
      from = start - 1;
    }
    while (to >= 0 && target.dim(to) == 1) {
      result[to--] = 1;
    }
    return to < 0 ? result : new long[0];
  }

  /** This array if it is contiguous, else a contiguous copy. */
  public NDArray contiguous() {
    return contiguous ? this : copy();
  }

  /** A contiguous copy. */
  public NDArray copy() {
    NDArray result = empty(device, dtype, shape);
    kernels().copy(this, result);
    return result;
  }

  /** This array if it has that type, else a contiguous copy converted to it. */
  public NDArray cast(DType target) {
    if (target == dtype) {
      return this;
    }
    NDArray result = empty(device, target, shape);
    kernels().copy(this, result);
    return result;
  }

  private NDArray view(Shape newShape, long[] newStrides, long newOffset) {
    checkLive();
    return new NDArray(device, block, dtype, newShape, newStrides, newOffset);
  }

  // ---- host access

  /**
   * The value of a one-element array; waits for the device.
   *
   * @throws IllegalArgumentException if there is not exactly one element
   */
  public double item() {
    if (size() != 1) {
      throw new IllegalArgumentException(
          "NDArray.item: wanted one element, got shape " + shape + "; use toDoubles()");
    }
    requireBytes("item");
    MemorySegment host = MemorySegment.ofArray(new long[1]).asSlice(0, dtype.byteSize());
    device.copyToHost(block(), byteOffset(), host);
    return dtype.read(host, 0);
  }

  /** All values in row-major order; waits for the device. */
  public double[] toDoubles() {
    requireBytes("toDoubles");
    double[] values = new double[Math.toIntExact(size())];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = toHost(arena);
      for (int i = 0; i < values.length; i++) {
        values[i] = dtype.read(host, i);
      }
    }
    return values;
  }

  /** All values in row-major order as floats; waits for the device. */
  public float[] toFloats() {
    double[] values = toDoubles();
    float[] result = new float[values.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = (float) values[i];
    }
    return result;
  }

  /** All values in row-major order as longs; waits for the device. */
  public long[] toLongs() {
    if (dtype.isFloating()) {
      throw new IllegalArgumentException("NDArray.toLongs: the array is " + dtype);
    }
    requireBytes("toLongs");
    long[] values = new long[Math.toIntExact(size())];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = toHost(arena);
      for (int i = 0; i < values.length; i++) {
        values[i] =
            dtype == DType.I64
                ? host.getAtIndex(ValueLayout.JAVA_LONG, i)
                : (long) dtype.read(host, i);
      }
    }
    return values;
  }

  /**
   * Overwrites all values from packed row-major host memory of this dtype. On a device without
   * bytes the values are dropped, so that a program that makes its constants runs there too.
   */
  public void writeBytes(MemorySegment source) {
    long bytes = size() * dtype.byteSize();
    if (!contiguous || source.byteSize() != bytes) {
      throw new IllegalArgumentException(
          "NDArray.writeBytes: wanted "
              + bytes
              + " bytes into a contiguous array, got "
              + source.byteSize()
              + " bytes into "
              + this);
    }
    device.copyFromHost(source, block(), byteOffset());
  }

  /** Copies all values, packed row-major, to host memory of exactly their size. */
  public void readBytes(MemorySegment destination) {
    requireBytes("readBytes");
    long bytes = size() * dtype.byteSize();
    if (destination.byteSize() != bytes) {
      throw new IllegalArgumentException(
          "NDArray.readBytes: wanted room for " + bytes + " bytes, got " + destination.byteSize());
    }
    copyPackedTo(destination);
  }

  private void copyPackedTo(MemorySegment destination) {
    checkLive();
    if (contiguous) {
      device.copyToHost(block, byteOffset(), destination);
      return;
    }
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray packed = copy();
      device.copyToHost(packed.block, packed.byteOffset(), destination);
    }
  }

  /** Overwrites all values, given in row-major order. */
  public void writeDoubles(double... values) {
    checkCount(shape, values.length);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(Math.max(1, size() * dtype.byteSize()), 8);
      for (int i = 0; i < values.length; i++) {
        dtype.write(host, i, values[i]);
      }
      writeBytes(host.asSlice(0, size() * dtype.byteSize()));
    }
  }

  private MemorySegment toHost(Arena arena) {
    long bytes = size() * dtype.byteSize();
    MemorySegment host = arena.allocate(Math.max(1, bytes), 8).asSlice(0, bytes);
    copyPackedTo(host);
    return host;
  }

  private void requireBytes(String what) {
    if (!device.hasBytes()) {
      throw new UnsupportedOperationException(
          "NDArray." + what + ": device " + device.name() + " knows shapes only, no values");
    }
  }

  private static boolean isContiguous(Shape shape, long[] strides) {
    if (shape.size() == 0) {
      return true;
    }
    long expected = 1;
    for (int i = shape.rank() - 1; i >= 0; i--) {
      long size = shape.dim(i);
      if (size != 1 && strides[i] != expected) {
        return false;
      }
      expected *= size;
    }
    return true;
  }

  /** What it is, not its values: {@code F32[2,3] on cpu:0}. */
  @Override
  public String toString() {
    return dtype + shape.toString() + (contiguous ? "" : " strided") + " on " + device.name();
  }
}
