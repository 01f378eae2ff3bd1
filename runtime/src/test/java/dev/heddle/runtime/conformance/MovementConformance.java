package dev.heddle.runtime.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Fill, copy, cast, and the gather and scatter of rows. */
interface MovementConformance extends Conformance {
  @Test
  default void fill_anyStrides_writesViewOnly() {
    for (Placement placement :
        List.of(
            Placement.CONTIGUOUS, Placement.SHIFTED, Placement.PADDED_ROWS, Placement.TRANSPOSED)) {
      for (long columns : SIZES) {
        kernelCase("fill " + placement + " " + columns)
            .exact()
            .output(placement, 3, columns)
            .check((kernels, a) -> kernels.fill(a[0], 1.5));
      }
    }
  }

  @Test
  default void fill_everyType_roundsAsWriteDoes() {
    for (DType type : DType.values()) {
      kernelCase("fill " + type)
          .exact()
          .outputOf(type, Placement.SHIFTED, Shape.of(19))
          .check((kernels, a) -> a[0].device().kernels(type).fill(a[0], 3.75));
    }
  }

  @Test
  default void copy_anyStrides_keepsEveryElement() {
    for (Placement from : List.of(Placement.values()).subList(0, 4)) {
      for (Placement to : List.of(Placement.values()).subList(0, 4)) {
        for (long columns : SIZES) {
          kernelCase("copy " + from + " to " + to + " " + columns)
              .exact()
              .input(from, 5, columns)
              .output(to, 5, columns)
              .check((kernels, a) -> kernels.copy(a[0], a[1]));
        }
      }
    }
  }

  @Test
  default void copy_headLayoutsAndBroadcasts_keepEveryElement() {
    List<Placement> layouts =
        List.of(
            Placement.PACKED_HEADS,
            Placement.HEADS_FIRST,
            Placement.SWAPPED_LEADING,
            Placement.BROADCAST_FIRST);
    for (Placement from : layouts) {
      for (Placement to : List.of(Placement.CONTIGUOUS, Placement.HEADS_FIRST)) {
        kernelCase("copy " + from + " to " + to)
            .exact()
            .input(from, 2, 7, 3, 17)
            .output(to, 2, 7, 3, 17)
            .check((kernels, a) -> kernels.copy(a[0], a[1]));
      }
    }
  }

  @Test
  default void copy_largeTransposed_keepsEveryElement() {
    kernelCase("copy large transposed")
        .exact()
        .input(Placement.TRANSPOSED, 515, 260)
        .output(Placement.CONTIGUOUS, 515, 260)
        .check((kernels, a) -> kernels.copy(a[0], a[1]));
  }

  @Test
  default void copy_scalarAndEmpty_work() {
    kernelCase("copy scalar")
        .exact()
        .input(Placement.CONTIGUOUS)
        .output(Placement.CONTIGUOUS)
        .check((kernels, a) -> kernels.copy(a[0], a[1]));
    kernelCase("copy empty")
        .input(Placement.PADDED_ROWS, 0, 3)
        .output(Placement.CONTIGUOUS, 0, 3)
        .check((kernels, a) -> kernels.copy(a[0], a[1]));
  }

  @Test
  default void copy_anyPairOfTypes_convertsAsWriteDoes() {
    double[] values = {
      0, 1, 2.5, 3.999, 127, 200.75, 255, 1e-3, 0.1, 99.5, 12, 13, 14, 15, 16.0625, 17, 18
    };
    double[] signed = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      signed[i] = i % 2 == 0 ? values[i] : -values[i];
    }
    for (DType from : DType.values()) {
      for (DType to : DType.values()) {
        boolean unsigned = from == DType.U8 || to == DType.U8;
        for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS)) {
          kernelCase("copy " + from + " to " + to + " " + placement)
              .exact()
              .inputOf(from, placement, Shape.of(1, 17), unsigned ? values : signed)
              .outputOf(to, placement, Shape.of(1, 17))
              .check((kernels, a) -> a[0].kernels().copy(a[0], a[1]));
        }
      }
    }
  }

  @Test
  default void copy_wideningAndNarrowing_treatsSpecialValuesAlike() {
    double[] values = {
      Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, -0.0, 1e-40, -1e-40, 3e38
    };
    for (DType from : List.of(DType.F32, DType.F64, DType.BF16)) {
      for (DType to : List.of(DType.F32, DType.F64, DType.BF16)) {
        kernelCase("copy special " + from + " to " + to)
            .exact()
            .inputOf(from, Placement.CONTIGUOUS, Shape.of(7), values)
            .outputOf(to, Placement.CONTIGUOUS, Shape.of(7))
            .check((kernels, a) -> a[0].kernels().copy(a[0], a[1]));
      }
    }
  }

  @Test
  default void copy_bigLongs_keepAllBits() {
    long[] values = {Long.MAX_VALUE, Long.MIN_VALUE, (1L << 53) + 1, -1, 0, 7};
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(subject(), Shape.of(2, 3), values);
      NDArray y = NDArray.empty(subject(), DType.I64, 3, 2);
      subject().kernels(DType.I64).copy(x.transpose(0, 1), y);
      assertThat(y.toLongs())
          .containsExactly(values[0], values[3], values[1], values[4], values[2], values[5]);
    }
  }

  @Test
  default void gatherRows_anyRowsAndStrides_copiesRowsOrZeros() {
    for (long columns : SIZES) {
      for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS)) {
        kernelCase("gatherRows I64 " + columns + " " + placement)
            .exact()
            .input(placement, 9, columns)
            .longs(8, 0, -1, 3, 3, 0, -5)
            .output(placement, 7, columns)
            .check((kernels, a) -> kernels.gatherRows(a[0], a[1], a[2]));
        kernelCase("gatherRows I32 " + columns + " " + placement)
            .exact()
            .input(placement, 9, columns)
            .ints(-1, 2, 8)
            .output(placement, 3, columns)
            .check((kernels, a) -> kernels.gatherRows(a[0], a[1], a[2]));
      }
    }
  }

  @Test
  default void gatherRows_noRows_writesNothing() {
    kernelCase("gatherRows none")
        .input(Placement.CONTIGUOUS, 4, 3)
        .longs()
        .output(Placement.CONTIGUOUS, 0, 3)
        .check((kernels, a) -> kernels.gatherRows(a[0], a[1], a[2]));
  }

  @Test
  default void localRows_ofAPart_areShifted_andThoseOfOthersNegative() {
    kernelCase("localRows I64")
        .exact()
        .longs(8, 0, -1, 3, 4, 2, 11, -5)
        .outputLongs(8)
        .check((kernels, a) -> kernels.localRows(a[0], 3, 5, 12, a[1]));
    kernelCase("localRows I32")
        .exact()
        .ints(8, 0, -1, 3, 7)
        .outputLongs(5)
        .check((kernels, a) -> kernels.localRows(a[0], 3, 5, 9, a[1]));
    kernelCase("localRows none")
        .longs()
        .outputLongs(0)
        .check((k, a) -> k.localRows(a[0], 0, 4, 4, a[1]));
    kernelCase("localRows of an empty part")
        .exact()
        .longs(0, 3)
        .outputLongs(2)
        .check((kernels, a) -> kernels.localRows(a[0], 4, 0, 4, a[1]));
  }

  @Test
  default void localRows_manyRows_areAllWritten() {
    long[] rows = new long[3000];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = i * 7919L % 50 - 1;
    }
    kernelCase("localRows large")
        .exact()
        .longs(rows)
        .outputLongs(rows.length)
        .check((kernels, a) -> kernels.localRows(a[0], 17, 20, 49, a[1]));
  }

  @Test
  default void scatterAddRows_repeatedAndNegativeRows_addInOrder() {
    for (long columns : SIZES) {
      for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS)) {
        kernelCase("scatterAddRows I64 " + columns + " " + placement)
            .input(placement, 7, columns)
            .longs(2, 2, -1, 0, 2, 5, -9)
            .inOut(placement, 6, columns)
            .check((kernels, a) -> kernels.scatterAddRows(a[0], a[1], a[2]));
        kernelCase("scatterAddRows I32 " + columns + " " + placement)
            .input(placement, 3, columns)
            .ints(1, 1, -1)
            .inOut(placement, 2, columns)
            .check((kernels, a) -> kernels.scatterAddRows(a[0], a[1], a[2]));
      }
    }
  }

  @Test
  default void scatterAddRows_manyRows_sameBitsForAnyThreadCount() {
    long[] rows = new long[3000];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = i * 7919L % 50 - 1;
    }
    kernelCase("scatterAddRows large")
        .tolerance(4)
        .input(Placement.CONTIGUOUS, rows.length, 65)
        .longs(rows)
        .inOut(Placement.CONTIGUOUS, 49, 65)
        .check((kernels, a) -> kernels.scatterAddRows(a[0], a[1], a[2]));
    kernelCase("gatherRows large")
        .exact()
        .input(Placement.CONTIGUOUS, 49, 65)
        .longs(rows)
        .output(Placement.CONTIGUOUS, rows.length, 65)
        .check((kernels, a) -> kernels.gatherRows(a[0], a[1], a[2]));
  }
}
