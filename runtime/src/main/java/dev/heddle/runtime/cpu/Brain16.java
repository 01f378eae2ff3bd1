package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.MEMORY;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.DType;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Conversion between F32 and BF16, bit for bit that of {@link DType}. */
final class Brain16 {
  private static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(
          short.class, VectorShape.forBitSize(Math.max(64, Lanes.SPECIES.vectorBitSize() / 2)));
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
  private static final IntVector ROUNDING = IntVector.broadcast(Lanes.INTS, 0x7fff);
  private static final IntVector QUIET_NAN = IntVector.broadcast(Lanes.INTS, 0x0040);

  private Brain16() {}

  /** {@code count} floats at {@code from}, rounded to nearest even, go to {@code to}. */
  static void round(WorkerPool workers, long from, long to, long count) {
    workers.run(
        count,
        VectorElementwise.GRAIN,
        (start, end) -> round(from + 4 * start, to + 2 * start, (int) (end - start)));
  }

  /** {@code count} bf16 numbers at {@code from} go to {@code to} as floats. */
  static void widen(WorkerPool workers, long from, long to, long count) {
    workers.run(
        count,
        VectorElementwise.GRAIN,
        (start, end) -> widen(from + 2 * start, to + 4 * start, (int) (end - start)));
  }

  private static void round(long from, long to, int n) {
    long x = address(from);
    long y = address(to);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      IntVector bits = v.reinterpretAsInts();
      IntVector high = bits.lanewise(VectorOperators.LSHR, 16);
      IntVector rounded =
          bits.add(ROUNDING)
              .add(high.lanewise(VectorOperators.AND, 1))
              .lanewise(VectorOperators.LSHR, 16);
      IntVector result =
          rounded.blend(
              high.lanewise(VectorOperators.OR, QUIET_NAN),
              v.test(VectorOperators.IS_NAN).cast(Lanes.INTS));
      ((ShortVector) result.convertShape(VectorOperators.I2S, SHORTS, 0))
          .intoMemorySegment(MEMORY, y + 2L * i, ORDER);
    }
    for (int i = bound; i < n; i++) {
      MEMORY.set(SHORT, y + 2L * i, DType.floatToBf16(Lanes.get(x + 4L * i)));
    }
  }

  private static void widen(long from, long to, int n) {
    long x = address(from);
    long y = address(to);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      ShortVector v = ShortVector.fromMemorySegment(SHORTS, MEMORY, x + 2L * i, ORDER);
      IntVector bits = (IntVector) v.convertShape(VectorOperators.S2I, Lanes.INTS, 0);
      store(bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats(), y + 4L * i);
    }
    for (int i = bound; i < n; i++) {
      Lanes.set(y + 4L * i, DType.bf16ToFloat(MEMORY.get(SHORT, x + 2L * i)));
    }
  }
}
