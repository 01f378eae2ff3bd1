package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Between bf16 and F32 at raw addresses: a shift up, and a rounding to nearest even down. */
final class Bf16Conversion {
  /** As many shorts as a float vector has lanes, of which there are at least four. */
  private static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Lanes.LENGTH * Short.SIZE));

  private static final int LENGTH = Lanes.LENGTH;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
  private static final IntVector HALF = IntVector.broadcast(Lanes.INTS, 0x7fff);
  private static final IntVector ONE = IntVector.broadcast(Lanes.INTS, 1);
  private static final IntVector MAGNITUDE = IntVector.broadcast(Lanes.INTS, 0x7fff_ffff);
  private static final IntVector INFINITY = IntVector.broadcast(Lanes.INTS, 0x7f80_0000);
  private static final IntVector QUIET = IntVector.broadcast(Lanes.INTS, 0x0040_0000);

  private static final ShortVector ZEROS = ShortVector.zero(SHORTS);

  private Bf16Conversion() {}

  /** A vector of bf16 values, widened. The address is one that {@link Lanes#address} made. */
  static FloatVector load(long address) {
    ShortVector halves = ShortVector.fromMemorySegment(SHORTS, Lanes.MEMORY, address, ORDER);
    IntVector bits = (IntVector) halves.convertShape(VectorOperators.S2I, Lanes.INTS, 0);
    return bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
  }

  /**
   * Pairs of the values at two addresses, the first in the lower half of a lane, in bits only: such
   * a vector is no number. Addresses as above.
   */
  static FloatVector pairs(long low, long high) {
    ShortVector lower = ShortVector.fromMemorySegment(SHORTS, Lanes.MEMORY, low, ORDER);
    ShortVector upper = ShortVector.fromMemorySegment(SHORTS, Lanes.MEMORY, high, ORDER);
    IntVector lowerBits =
        (IntVector) lower.convertShape(VectorOperators.ZERO_EXTEND_S2I, Lanes.INTS, 0);
    IntVector upperBits = (IntVector) upper.convertShape(VectorOperators.S2I, Lanes.INTS, 0);
    return lowerBits.or(upperBits.lanewise(VectorOperators.LSHL, 16)).reinterpretAsFloats();
  }

  /** Writes a vector, rounded, as {@link DType#floatToBf16} rounds; addresses as above. */
  static void store(FloatVector x, long address) {
    IntVector bits = x.reinterpretAsInts();
    IntVector odd = bits.lanewise(VectorOperators.LSHR, 16).and(ONE);
    // A NaN could overflow into another number.
    VectorMask<Integer> nan = bits.and(MAGNITUDE).compare(VectorOperators.GT, INFINITY);
    IntVector rounded = bits.add(HALF).add(odd).blend(bits.or(QUIET), nan);
    ((ShortVector)
            rounded.lanewise(VectorOperators.LSHR, 16).convertShape(VectorOperators.I2S, SHORTS, 0))
        .intoMemorySegment(Lanes.MEMORY, address, ORDER);
  }

  /**
   * {@link #store} of what was computed from bf16 values: such a NaN comes from one of them or is
   * the processor's own, and overflows into another number in neither case, because it ends in
   * zeros. So nothing asks for it, which is half of what rounding costs.
   */
  static void storeResult(FloatVector x, long address) {
    IntVector bits = x.reinterpretAsInts();
    IntVector odd = bits.lanewise(VectorOperators.LSHR, 16).and(ONE);
    IntVector rounded = bits.add(HALF).add(odd);
    ((ShortVector)
            rounded.lanewise(VectorOperators.LSHR, 16).convertShape(VectorOperators.I2S, SHORTS, 0))
        .intoMemorySegment(Lanes.MEMORY, address, ORDER);
  }

  /** As many zeros as a vector has. */
  static void storeZeros(long address) {
    ZEROS.intoMemorySegment(Lanes.MEMORY, address, ORDER);
  }

  static float get(long address) {
    return DType.bf16ToFloat(Lanes.MEMORY.get(SHORT, address));
  }

  static void set(long address, float value) {
    Lanes.MEMORY.set(SHORT, address, DType.floatToBf16(value));
  }

  /** {@code count} bf16 values at {@code from} become floats at {@code to}. */
  static void widen(long from, long to, long count) {
    long source = Lanes.address(from);
    long target = Lanes.address(to);
    long i = 0;
    for (; i <= count - LENGTH; i += LENGTH) {
      Lanes.store(load(source + 2 * i), target + 4 * i);
    }
    for (; i < count; i++) {
      Lanes.set(to + 4 * i, get(from + 2 * i));
    }
  }

  /** {@code count} floats at {@code from} become bf16 values at {@code to}. */
  static void narrow(long from, long to, long count) {
    long source = Lanes.address(from);
    long target = Lanes.address(to);
    long i = 0;
    for (; i <= count - LENGTH; i += LENGTH) {
      store(Lanes.load(source + 4 * i), target + 2 * i);
    }
    for (; i < count; i++) {
      set(to + 2 * i, Lanes.get(from + 4 * i));
    }
  }

  /** y = x by rows, y bf16 and x bf16 or F32; any strides. Other types go by double. */
  static void copy(NDArray x, NDArray y) {
    if (x.size() == 0) {
      return;
    }
    if (x.dtype() == DType.F32 && x.isContiguous() && y.isContiguous()) {
      narrow(x.address(), y.address(), x.size());
      return;
    }
    if (x.dtype() == DType.BF16 || x.dtype() == DType.F32) {
      copyRuns(x, y);
      return;
    }
    Shape shape = x.rank() == 0 ? Shape.of(1) : x.shape();
    RowOffsets sources = RowOffsets.of(x, shape);
    RowOffsets targets = RowOffsets.of(y, shape);
    long columns = shape.dim(-1);
    for (long row = 0; row < shape.size() / columns; row++) {
      long from = x.offset() + sources.of(row);
      long to = y.address() + 2 * targets.of(row);
      for (long i = 0; i < columns; i++) {
        double value = x.dtype().read(x.segment(), from + i * sources.innerStride());
        Lanes.MEMORY.set(
            SHORT, to + 2 * i * targets.innerStride(), DType.floatToBf16((float) value));
      }
    }
  }

  /** By the runs that both arrays have. */
  private static void copyRuns(NDArray x, NDArray y) {
    ContiguousRuns from = new ContiguousRuns(x);
    ContiguousRuns to = new ContiguousRuns(y);
    // Runs of row-major order end where those of the shorter kind do: one is a multiple of the
    // other.
    long length = Math.min(from.length, to.length);
    boolean narrows = x.dtype() == DType.F32;
    long size = x.dtype().byteSize();
    for (long at = 0; at < x.size(); at += length) {
      long source = from.address(at / from.length, size) + size * (at % from.length);
      long target = to.address(at / to.length, Short.BYTES) + Short.BYTES * (at % to.length);
      if (narrows) {
        narrow(source, target, length);
      } else if (length == 1) {
        Lanes.MEMORY.set(SHORT, target, Lanes.MEMORY.get(SHORT, source));
      } else {
        MemorySegment.copy(Lanes.MEMORY, source, Lanes.MEMORY, target, Short.BYTES * length);
      }
    }
  }
}
