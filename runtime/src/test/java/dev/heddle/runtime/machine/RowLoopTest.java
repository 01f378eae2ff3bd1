package dev.heddle.runtime.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.machine.VectorProgram.Value;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Programs of rows against the same in Java, one lane at a time, bit for bit. */
class RowLoopTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);
  private static final int LANES = 16;
  private static final int ROWS = 7;

  /** Elements from a row to the next; some are never touched. */
  private static final int STRIDE = 160;

  private static final float UNTOUCHED = 12345f;

  @BeforeEach
  void onlyWhereItRuns() {
    assumeTrue(Processor.here().avx512(), "this is not Linux on a processor with AVX-512");
  }

  private static float sumOfLanes(float[] lanes) {
    float[] v = lanes.clone();
    for (int distance = LANES / 2; distance > 0; distance /= 2) {
      for (int lane = 0; lane < distance; lane++) {
        v[lane] += v[lane + distance];
      }
    }
    return v[0];
  }

  private static MemorySegment random(Arena arena, Type type, Random random) {
    MemorySegment memory = arena.allocate((long) type.bytes() * ROWS * STRIDE, 64);
    for (int i = 0; i < ROWS * STRIDE; i++) {
      set(type, memory, i, (float) random.nextGaussian());
    }
    return memory;
  }

  private static void set(Type type, MemorySegment memory, int at, float value) {
    if (type == Type.F32) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, at, value);
    } else {
      memory.setAtIndex(ValueLayout.JAVA_SHORT, at, DType.floatToBf16(value));
    }
  }

  private static float get(Type type, MemorySegment memory, int at) {
    return type == Type.F32
        ? memory.getAtIndex(ValueLayout.JAVA_FLOAT, at)
        : DType.bf16ToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT, at));
  }

  /**
   * y = (x - center) weight, with Σ y, Σ x y and the largest y, where weight is the same for all
   * rows.
   */
  private static VectorProgram everything(Type type) {
    VectorProgram program = VectorProgram.ofRows(type, Type.F32, type);
    Value center = program.scalar();
    Value factor = program.scalar();
    Value x = program.load(0);
    Value y = program.multiply(program.subtract(x, center), program.load(1));
    program.sum(y);
    program.sumOfProducts(x, y);
    program.maximum(y, -2f);
    program.store(2, program.multiply(y, factor));
    return program;
  }

  @ParameterizedTest
  @CsvSource({"F32, 0", "F32, 3", "F32, 16", "F32, 55", "BF16, 1", "BF16, 32", "BF16, 47"})
  void rowsOfAnyLength_haveTheBitsOfJava(Type type, int longest) {
    Random random = new Random(SEED + longest);
    RowLoop loop = everything(type).compileRows().orElseThrow();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = random(arena, type, random);
      MemorySegment weight = random(arena, Type.F32, random);
      MemorySegment y = random(arena, type, random);
      for (int i = 0; i < ROWS * STRIDE; i++) {
        set(type, y, i, UNTOUCHED);
      }
      MemorySegment centers = random(arena, Type.F32, random);
      MemorySegment results = random(arena, Type.F32, random);
      RowLoop.Call call = RowLoop.call();
      call.lengths(ROWS);
      int[] lengths = new int[ROWS];
      int defined = (longest + LANES - 1) / LANES * LANES + LANES;
      for (int row = 0; row < ROWS; row++) {
        lengths[row] = row == 0 ? longest : random.nextInt(longest + 1);
        call.length(row, lengths[row], defined);
      }
      long step = (long) type.bytes() * STRIDE;
      call.array(0, x.address(), step);
      call.array(1, weight.address(), 0);
      call.array(2, y.address(), step);
      call.scalar(0, centers.address() + 8, 12);
      call.scalar(1, 0.75f);
      for (int i = 0; i < 3; i++) {
        call.result(i, results.address() + 4 * i, 20);
      }
      call.run(loop, ROWS);
      for (int row = 0; row < ROWS; row++) {
        float center = get(Type.F32, centers, 2 + 3 * row);
        float[] sums = new float[LANES];
        float[] products = new float[LANES];
        float largest = -2f;
        for (int i = 0; i < STRIDE; i++) {
          float wanted = i < defined ? 0 : get(type, y, STRIDE - 1);
          if (i < lengths[row]) {
            float value = get(type, x, row * STRIDE + i);
            float result = (value - center) * get(Type.F32, weight, i);
            sums[i % LANES] += result;
            products[i % LANES] = Math.fma(value, result, products[i % LANES]);
            largest = Math.max(largest, result);
            wanted = result * 0.75f;
            if (type == Type.BF16) {
              wanted = DType.bf16ToFloat(DType.floatToBf16(wanted));
            }
          }
          assertThat(get(type, y, row * STRIDE + i)).as("row %s, %s", row, i).isEqualTo(wanted);
        }
        assertThat(get(Type.F32, results, 5 * row)).isEqualTo(sumOfLanes(sums));
        assertThat(get(Type.F32, results, 5 * row + 1)).isEqualTo(sumOfLanes(products));
        assertThat(get(Type.F32, results, 5 * row + 2)).isEqualTo(largest);
      }
    }
  }

  /** The table of lengths grows. */
  @ParameterizedTest
  @ValueSource(ints = {1, 256, 1000})
  void manyRows_haveEachItsLength(int rows) {
    VectorProgram program = VectorProgram.ofRows(Type.F32);
    program.sum(program.load(0));
    RowLoop loop = program.compileRows().orElseThrow();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment ones = arena.allocate(4L * 64, 64);
      for (int i = 0; i < 64; i++) {
        ones.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
      }
      MemorySegment sums = arena.allocate(4L * rows, 64);
      RowLoop.Call call = RowLoop.call();
      call.lengths(rows);
      for (int row = 0; row < rows; row++) {
        call.length(row, row % 65, 64);
      }
      call.array(0, ones.address(), 0);
      call.result(0, sums.address(), 4);
      call.run(loop, rows);
      call.run(loop, 0);
      for (int row = 0; row < rows; row++) {
        assertThat(sums.getAtIndex(ValueLayout.JAVA_FLOAT, row)).isEqualTo(row % 65);
      }
    }
  }

  @Test
  void maximum_leavesOutWhatIsNoNumber() {
    VectorProgram program = VectorProgram.ofRows(Type.F32);
    program.maximum(program.load(0), Float.NEGATIVE_INFINITY);
    RowLoop loop = program.compileRows().orElseThrow();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = arena.allocate(4L * 64, 64);
      for (int i = 0; i < 40; i++) {
        x.setAtIndex(ValueLayout.JAVA_FLOAT, i, i % 3 == 0 ? Float.NaN : -i);
      }
      RowLoop.Call call = RowLoop.call();
      call.length(40);
      call.array(0, x.address(), 0);
      call.result(0, x.address() + 4 * 50, 4);
      call.run(loop, 1);
      assertThat(x.getAtIndex(ValueLayout.JAVA_FLOAT, 50)).isEqualTo(-1);
    }
  }

  /** The processor's own rounding: to nearest even; what is subnormal is zero. */
  @Test
  void storeNormal_roundsAndKeepsSigns() {
    assumeTrue(Processor.here().bf16(), "this processor has no instructions for bf16");
    VectorProgram program = VectorProgram.ofRows(Type.F32, Type.BF16);
    program.storeNormal(1, program.load(0));
    RowLoop loop = program.compileRows().orElseThrow();
    float[] values = {
      1f, 1.001953125f, 1.005859375f, -3e-39f, 1e-40f, Float.MIN_NORMAL, Float.NaN, -1 / 0f, 3.4e38f
    };
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = arena.allocate(4L * LANES, 64);
      MemorySegment y = arena.allocate(2L * LANES, 64);
      y.fill((byte) 1);
      MemorySegment.copy(values, 0, x, ValueLayout.JAVA_FLOAT, 0, values.length);
      RowLoop.Call call = RowLoop.call();
      call.length(values.length);
      call.array(0, x.address(), 0);
      call.array(1, y.address(), 0);
      call.run(loop, 1);
      for (int i = 0; i < LANES; i++) {
        float value = i < values.length ? values[i] : 0;
        float wanted = Math.abs(value) < Float.MIN_NORMAL ? value * 0 : value;
        assertThat(y.getAtIndex(ValueLayout.JAVA_SHORT, i))
            .as("%s", value)
            .isEqualTo(DType.floatToBf16(wanted));
      }
    }
  }

  @Test
  void whatRowsOnlyHave_isRefusedElsewhere() {
    Type f = Type.F32;
    VectorProgram elements = new VectorProgram(f);
    Value x = elements.load(0);
    assertThatThrownBy(() -> elements.sum(x))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("VectorProgram: a sum needs rows; see ofRows");
    assertThatThrownBy(elements::compileRows)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("none of rows");
    assertThatThrownBy(() -> VectorProgram.ofRows(f).compile())
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("see compileRows");
    assertThatThrownBy(() -> VectorProgram.ofRows(f, f, f, f, f, f, f, f, f))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("VectorProgram: 9 arrays, at most 8");
    VectorProgram many = VectorProgram.ofRows(f);
    for (int i = 0; i < 5; i++) {
      many.sum(many.load(0));
    }
    assertThatThrownBy(many::compileRows)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("VectorProgram: 0 scalars and 5 results, at most 4 each, of a program of rows");
  }
}
