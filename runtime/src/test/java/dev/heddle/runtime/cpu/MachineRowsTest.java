package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.machine.Processor;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Loops over rows by machine code have the bits of the loops in Java. */
class MachineRowsTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);
  private static final int ROWS = 9;
  private static final int STRIDE = 80;

  @BeforeEach
  void onlyWhereItRuns() {
    assumeTrue(CpuBackend.hasMachineCode(), "this is not Linux on a processor with AVX-512");
  }

  private static MachineRows loops() {
    return Objects.requireNonNull(MachineRows.here());
  }

  /** Rows of scores, each kind of special one among them. */
  private static long scores(Arena arena, Random random) {
    long rows = arena.allocate(4L * ROWS * STRIDE, 64).address();
    for (int i = 0; i < ROWS * STRIDE; i++) {
      float value = (float) (random.nextGaussian() * (i / STRIDE == 1 ? 60 : 3));
      Lanes.set(rows + 4L * i, i / STRIDE == 2 ? Float.NEGATIVE_INFINITY : value);
    }
    Lanes.set(rows + 4L * 3 * STRIDE, Float.NaN);
    return rows;
  }

  private static long copy(Arena arena, long from, int bytes) {
    long to = arena.allocate(bytes, 64).address();
    MemorySegment.copy(Lanes.MEMORY, from, Lanes.MEMORY, to, bytes);
    return to;
  }

  private static int[] bits(long from, int bytes) {
    int[] bits = new int[bytes / 4];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = Float.floatToIntBits(Lanes.get(from + 4L * i));
    }
    return bits;
  }

  private static int bits(float value) {
    return Float.floatToIntBits(value);
  }

  private static int visible(int longest, int row) {
    return row == 4 ? 0 : Math.max(0, longest - row);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 16, 40, 64})
  void exponentials_haveTheBitsOfJava(int longest) {
    try (Arena arena = Arena.ofConfined()) {
      long java = scores(arena, new Random(SEED));
      int bytes = 4 * ROWS * STRIDE;
      long machine = copy(arena, java, bytes);
      long statistics = arena.allocate(16L * ROWS, 64).address();
      RowLoop.Call call = RowLoop.call();
      call.lengths(ROWS);
      for (int row = 0; row < ROWS; row++) {
        VectorAttention.exponentials(
            java + 4L * STRIDE * row,
            visible(longest, row),
            64,
            statistics + 4L * row,
            statistics + 4L * (ROWS + row));
        call.length(row, visible(longest, row), 64);
      }
      long maxima = statistics + 8L * ROWS;
      call.array(0, machine, 4L * STRIDE);
      call.result(0, maxima, 4);
      call.run(loops().maximum, ROWS);
      call.array(1, machine, 4L * STRIDE);
      call.scalar(0, maxima, 4);
      call.result(0, maxima + 4L * ROWS, 4);
      call.run(loops().exponentials, ROWS);
      assertThat(bits(machine, bytes)).isEqualTo(bits(java, bytes));
      for (int row = 0; row < ROWS; row++) {
        float sum = Lanes.get(statistics + 4L * (ROWS + row));
        assertThat(bits(Lanes.get(maxima + 4L * (ROWS + row)))).as("%s", row).isEqualTo(bits(sum));
        // What becomes of the two: that of nothing is another number.
        double logSum = Lanes.get(statistics + 4L * row) + Math.log(sum);
        float got = (float) (Lanes.get(maxima + 4L * row) + Math.log(sum));
        assertThat(bits(got)).as("%s", row).isEqualTo(bits((float) logSum));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 16, 40, 64})
  void probabilities_haveTheBitsOfJava(int longest) {
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(SEED + 1);
      long java = scores(arena, random);
      long javaGradients = scores(arena, random);
      int bytes = 4 * ROWS * STRIDE;
      long machine = copy(arena, java, bytes);
      long gradients = copy(arena, javaGradients, bytes);
      long shifts = arena.allocate(4L * ROWS, 64).address();
      RowLoop.Call call = RowLoop.call();
      call.lengths(ROWS);
      for (int row = 0; row < ROWS; row++) {
        float shift = 150 + row;
        Lanes.set(shifts + 4L * row, shift);
        VectorAttentionBackward.probabilities(
            java + 4L * STRIDE * row,
            javaGradients + 4L * STRIDE * row,
            visible(longest, row),
            64,
            shift,
            shift);
        call.length(row, visible(longest, row), 64);
      }
      call.array(0, machine, 4L * STRIDE);
      call.array(1, gradients, 4L * STRIDE);
      call.scalar(0, shifts, 4);
      call.scalar(1, shifts, 4);
      call.run(loops().probabilities, ROWS);
      assertThat(bits(machine, bytes)).isEqualTo(bits(java, bytes));
      for (int i = 0; i < ROWS * STRIDE; i++) {
        int row = i / STRIDE;
        int column = i % STRIDE;
        float wanted = Lanes.get(javaGradients + 4L * i);
        boolean hidden = column >= visible(longest, row) && column < 64;
        // Where nothing is seen Java multiplies what lies there by 0; this writes zeros.
        assertThat(bits(Lanes.get(gradients + 4L * i)))
            .as("row %s, %s", row, column)
            .isEqualTo(hidden ? 0 : bits(wanted));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 16, 40, 64})
  void roundedExponentials_haveTheBitsOfJava(int longest) {
    assumeTrue(Processor.here().bf16(), "this processor has no instructions for bf16");
    try (Arena arena = Arena.ofConfined()) {
      float scale = 0.125f;
      long java = scores(arena, new Random(SEED + 2));
      long machine = copy(arena, java, 4 * ROWS * STRIDE);
      long wanted = arena.allocate(2L * ROWS * STRIDE, 64).address();
      long got = arena.allocate(2L * ROWS * STRIDE, 64).address();
      long maxima = arena.allocate(8L * ROWS, 64).address();
      RowLoop.Call call = RowLoop.call();
      call.lengths(ROWS);
      for (int row = 0; row < ROWS; row++) {
        call.length(row, visible(longest, row), 64);
      }
      call.array(0, machine, 4L * STRIDE);
      call.array(1, got, 2L * STRIDE);
      call.scalar(0, scale);
      call.result(0, maxima, 4);
      call.run(loops().scaledMaximum, ROWS);
      call.scalar(1, maxima, 4);
      call.result(0, maxima + 4L * ROWS, 4);
      call.run(Objects.requireNonNull(loops().roundedExponentials), ROWS);
      for (int row = 0; row < ROWS; row++) {
        long scores = java + 4L * STRIDE * row;
        int visible = visible(longest, row);
        int whole = visible & -Lanes.LENGTH;
        int all = visible + Lanes.LENGTH - 1 & -Lanes.LENGTH;
        if (whole < all) {
          Bf16ScoreRows.hide(scores + 4L * whole, visible - whole);
        }
        float maximum = Bf16ScoreRows.maximum(scores, scale, all);
        long to = wanted + 2L * STRIDE * row;
        float sum = Bf16ScoreRows.exponentials(scores, scale, maximum, all, to);
        assertThat(bits(Lanes.get(maxima + 4L * (ROWS + row)))).as("%s", row).isEqualTo(bits(sum));
        float logSum = (float) (Lanes.get(maxima + 4L * row) + Math.log(sum));
        assertThat(bits(logSum)).as("%s", row).isEqualTo(bits((float) (maximum + Math.log(sum))));
      }
      assertThat(bits(got, 2 * ROWS * STRIDE)).isEqualTo(bits(wanted, 2 * ROWS * STRIDE));
    }
  }

  @Test
  void roundedProbabilities_haveTheBitsOfJava() {
    assumeTrue(Processor.here().bf16(), "this processor has no instructions for bf16");
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(SEED + 3);
      long scores = scores(arena, random);
      long gradients = scores(arena, random);
      // A probability of the smallest size, and gradients that are subnormal beside it.
      Lanes.set(scores, -87f / 0.125f);
      Lanes.set(scores + 4, -86f / 0.125f);
      long shifts = arena.allocate(4L * STRIDE, 64).address();
      long deltas = arena.allocate(4L * STRIDE, 64).address();
      for (int i = 0; i < STRIDE; i++) {
        Lanes.set(shifts + 4L * i, i == 70 ? Float.POSITIVE_INFINITY : i < 2 ? 0 : 40 + i);
        Lanes.set(deltas + 4L * i, (float) random.nextGaussian());
      }
      long wanted = arena.allocate(4L * ROWS * STRIDE, 64).address();
      long got = arena.allocate(4L * ROWS * STRIDE, 64).address();
      long dwanted = wanted + 2L * ROWS * STRIDE;
      for (int row = 0; row < ROWS; row++) {
        long at = 4L * STRIDE * row;
        Bf16ScoreRows.probabilities(
            scores + at,
            gradients + at,
            0.125f,
            shifts,
            deltas,
            wanted + at / 2,
            dwanted + at / 2,
            STRIDE);
      }
      RowLoop.Call call = RowLoop.call();
      call.length(STRIDE);
      call.array(0, scores, 4L * STRIDE);
      call.array(1, gradients, 4L * STRIDE);
      call.array(2, shifts, 0);
      call.array(3, deltas, 0);
      call.array(4, got, 2L * STRIDE);
      call.array(5, got + 2L * ROWS * STRIDE, 2L * STRIDE);
      call.scalar(0, 0.125f);
      call.run(Objects.requireNonNull(loops().roundedProbabilities), ROWS);
      assertThat(bits(got, 4 * ROWS * STRIDE)).isEqualTo(bits(wanted, 4 * ROWS * STRIDE));
      assertThat(Math.abs(Bf16Conversion.get(wanted))).isGreaterThanOrEqualTo(Float.MIN_NORMAL);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {16, 32, 48})
  void dots_haveTheBitsOfJava(int n) {
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(SEED + 4);
      long a = scores(arena, random);
      long b = scores(arena, random);
      long results = arena.allocate(4L * ROWS, 64).address();
      for (Type type : Type.values()) {
        // As bf16 they are numbers of any size.
        int step = type.bytes() * STRIDE;
        RowLoop.Call call = RowLoop.call();
        call.length(n);
        call.array(0, a, step);
        call.array(1, b, step);
        call.result(0, results, 4);
        call.run(loops().dots(type), ROWS);
        for (int row = 0; row < ROWS; row++) {
          long at = (long) step * row;
          float wanted =
              type == Type.F32
                  ? VectorAttentionBackward.dot(a + at, b + at, n)
                  : Bf16AttentionBackward.dot(a + at, b + at, n);
          assertThat(bits(Lanes.get(results + 4L * row))).as("%s", row).isEqualTo(bits(wanted));
        }
      }
    }
  }

  private static double[] softmax(CpuBackend backend, double[] values, int columns, boolean same) {
    try (CpuDevice device = CpuDevice.open("cpu:rows", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      Shape shape = Shape.of(values.length / columns, columns);
      NDArray x = NDArray.of(device, DType.F32, shape, values);
      NDArray y = same ? x : NDArray.full(device, DType.F32, shape, 3);
      x.kernels().softmax(x, y);
      return y.toDoubles();
    }
  }

  @ParameterizedTest
  @CsvSource({"16, false", "48, true", "256, false", "50, true"})
  void softmax_hasTheBitsOfJava(int columns, boolean same) {
    Random random = new Random(SEED + columns);
    double[] values = random.doubles(50L * columns, -20, 20).toArray();
    Arrays.fill(values, 7 * columns, 8 * columns, Double.NEGATIVE_INFINITY);
    Arrays.fill(values, 8 * columns, 9 * columns, -Float.MAX_VALUE);
    Arrays.fill(values, 40 * columns, 41 * columns, Double.NaN);
    values[20 * columns] = Double.NaN;
    values[21 * columns] = Double.POSITIVE_INFINITY;
    assertThat(softmax(CpuBackend.BEST, values, columns, same))
        .isEqualTo(softmax(CpuBackend.VECTOR, values, columns, same));
  }

  private static List<double[]> normGradients(CpuBackend backend, DType dtype, int rows, int n) {
    List<double[]> results = new ArrayList<>();
    try (CpuDevice device = CpuDevice.open("cpu:rows", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      Random random = new Random(SEED + n);
      Shape shape = Shape.of(rows, n);
      NDArray x =
          NDArray.of(device, dtype, shape, random.doubles((long) rows * n, -2, 3).toArray());
      NDArray dy =
          NDArray.of(device, dtype, shape, random.doubles((long) rows * n, -1, 1).toArray());
      NDArray weight =
          NDArray.of(device, dtype, Shape.of(n), random.doubles(n, 0.5, 1.5).toArray());
      NDArray bias = NDArray.full(device, dtype, Shape.of(n), 0.5);
      NDArray y = NDArray.full(device, dtype, shape, 0);
      NDArray dx = NDArray.full(device, dtype, shape, 0);
      NDArray dw = NDArray.full(device, dtype, Shape.of(n), 0);
      NDArray db = NDArray.full(device, dtype, Shape.of(n), 0);
      NDArray mean = NDArray.full(device, DType.F32, Shape.of(rows), 0);
      NDArray rstd = NDArray.full(device, DType.F32, Shape.of(rows), 0);
      x.kernels().layerNorm(x, weight, bias, 1e-5, y, mean, rstd);
      x.kernels().layerNormBackward(x, weight, mean, rstd, dy, dx, dw, db);
      for (NDArray each : List.of(y, dx, dw, db)) {
        results.add(each.toDoubles());
      }
      x.kernels().rmsNorm(x, weight, 1e-5, y, rstd);
      x.kernels().rmsNormBackward(x, weight, rstd, dy, dx, dw);
      for (NDArray each : List.of(y, dx, dw)) {
        results.add(each.toDoubles());
      }
    }
    return results;
  }

  @ParameterizedTest
  @CsvSource({"F32, 40, 48", "F32, 83, 16", "F32, 5, 50", "BF16, 40, 48", "BF16, 83, 16"})
  void normsAndTheirGradients_haveTheBitsOfJava(DType dtype, int rows, int columns) {
    List<double[]> machine = normGradients(CpuBackend.BEST, dtype, rows, columns);
    List<double[]> java = normGradients(CpuBackend.VECTOR, dtype, rows, columns);
    assertThat(machine).hasSameSizeAs(java);
    for (int i = 0; i < machine.size(); i++) {
      assertThat(machine.get(i)).as("result %s", i).isEqualTo(java.get(i));
    }
  }
}
