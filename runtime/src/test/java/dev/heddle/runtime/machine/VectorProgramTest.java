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
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Random programs against the same operations of Java, one element at a time, bit for bit; and what
 * lies around the arrays.
 */
class VectorProgramTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);
  private static final int PROGRAMS = 300;
  private static final int GUARD = 64;
  private static final byte UNTOUCHED = 0x5a;
  private static final float[] SPECIAL = {
    Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0f, -0f, 1e-40f, -3e38f, 1f
  };

  @BeforeEach
  void onlyWhereItRuns() {
    assumeTrue(Processor.here().avx512(), "this is not Linux on a processor with AVX-512");
  }

  /** A value's bits for one element, given the elements of all arrays and the scalars. */
  private interface Meaning {
    int of(int[] elements, float[] scalars);
  }

  private record Known(Value value, Meaning meaning) {}

  /** A program, and what each of its stores writes. */
  private static final class Case {
    final Random random;
    final Type[] arrays;
    final VectorProgram program;
    final List<Known> values = new ArrayList<>();
    final List<Meaning> results = new ArrayList<>();
    final int scalars;

    Case(long seed) {
      random = new Random(seed);
      arrays = new Type[2 + random.nextInt(VectorProgram.MAX_ARRAYS - 1)];
      boolean halvesOnly = random.nextInt(4) == 0;
      for (int i = 0; i < arrays.length; i++) {
        arrays[i] = halvesOnly || random.nextBoolean() ? Type.BF16 : Type.F32;
      }
      program = new VectorProgram(arrays);
      scalars = random.nextInt(3);
      for (int i = 0; i < scalars; i++) {
        int number = i;
        values.add(new Known(program.scalar(), (e, s) -> Float.floatToRawIntBits(s[number])));
      }
      // The last array is written only, the others are read.
      for (int i = 0; i < arrays.length - 1; i++) {
        int array = i;
        values.add(new Known(program.load(array), (e, s) -> e[array]));
      }
      int operations = 1 + random.nextInt(30);
      for (int i = 0; i < operations; i++) {
        values.add(operation());
      }
      Known last = values.getLast();
      program.store(arrays.length - 1, last.value);
      results.add(last.meaning);
    }

    private Known any() {
      if (random.nextInt(6) == 0) {
        int bits = Float.floatToRawIntBits((float) random.nextGaussian());
        return new Known(program.bits(bits), (e, s) -> bits);
      }
      return values.get(random.nextInt(values.size()));
    }

    private static float f(int bits) {
      return Float.intBitsToFloat(bits);
    }

    private static int b(float value) {
      return Float.floatToRawIntBits(value);
    }

    private Known operation() {
      Known x = any();
      Known y = any();
      Known z = any();
      Known w = any();
      // Bits of a NaN that was computed depend on the order of operands.
      Known raw = values.get(random.nextInt(scalars + arrays.length - 1));
      Meaning a = x.meaning;
      Meaning c = y.meaning;
      Meaning d = z.meaning;
      Meaning o = w.meaning;
      VectorProgram p = program;
      int bits = 1 + random.nextInt(31);
      return switch (random.nextInt(16)) {
        case 0 -> known(p.add(x.value, y.value), (e, s) -> b(f(a.of(e, s)) + f(c.of(e, s))));
        case 1 -> known(p.subtract(x.value, y.value), (e, s) -> b(f(a.of(e, s)) - f(c.of(e, s))));
        case 2 -> known(p.multiply(x.value, y.value), (e, s) -> b(f(a.of(e, s)) * f(c.of(e, s))));
        case 3 -> known(p.divide(x.value, y.value), (e, s) -> b(f(a.of(e, s)) / f(c.of(e, s))));
        case 4 -> known(p.squareRoot(x.value), (e, s) -> b((float) Math.sqrt(f(a.of(e, s)))));
        case 5, 6, 7 ->
            known(
                p.multiplyAdd(x.value, y.value, z.value),
                (e, s) -> b(Math.fma(f(a.of(e, s)), f(c.of(e, s)), f(d.of(e, s)))));
        case 8 ->
            known(
                p.selectLess(x.value, y.value, z.value, w.value),
                (e, s) -> f(a.of(e, s)) < f(c.of(e, s)) ? d.of(e, s) : o.of(e, s));
        case 9 ->
            known(
                p.selectGreater(x.value, y.value, z.value, w.value),
                (e, s) -> f(a.of(e, s)) > f(c.of(e, s)) ? d.of(e, s) : o.of(e, s));
        case 10 -> known(p.and(x.value, p.bits(0x7fff_ffff)), (e, s) -> a.of(e, s) & 0x7fff_ffff);
        case 11 -> known(p.shiftDown(raw.value, bits), (e, s) -> raw.meaning.of(e, s) >>> bits);
        case 12 ->
            known(
                p.and(p.or(raw.value, p.bits(bits)), p.bits(-7)),
                (e, s) -> (raw.meaning.of(e, s) | bits) & -7);
        case 13 ->
            known(
                p.maximum(x.value, y.value),
                (e, s) -> f(a.of(e, s)) > f(c.of(e, s)) ? a.of(e, s) : c.of(e, s));
        case 14 -> {
          float[] table = new float[VectorProgram.TABLE];
          for (int i = 0; i < table.length; i++) {
            table[i] = (float) random.nextGaussian();
          }
          yield known(
              p.lookUp(p.shiftDown(raw.value, bits), table),
              (e, s) -> b(table[raw.meaning.of(e, s) >>> bits & (VectorProgram.TABLE - 1)]));
        }
        default ->
            known(
                p.addBits(p.shiftUp(p.bits(bits), 23), p.bits(bits)),
                (e, s) -> (bits << 23) + bits);
      };
    }

    private static Known known(Value value, Meaning meaning) {
      return new Known(value, meaning);
    }
  }

  private static boolean nan(int bits) {
    return Float.isNaN(Float.intBitsToFloat(bits));
  }

  @Test
  void randomPrograms_haveTheBitsOfJava() {
    int compared = 0;
    for (int number = 0; number < PROGRAMS; number++) {
      Case each = new Case(SEED + number);
      VectorLoop loop = each.program.compile().orElseThrow();
      compared += run(each, loop, each.random.nextInt(100), "seed " + (SEED + number));
    }
    assertThat(compared).isGreaterThan(3_000);
  }

  private static int run(Case each, VectorLoop loop, int size, String what) {
    int compared = 0;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment[] memory = new MemorySegment[VectorProgram.MAX_ARRAYS];
      long[] addresses = new long[VectorProgram.MAX_ARRAYS];
      for (int i = 0; i < each.arrays.length; i++) {
        memory[i] = arena.allocate(2L * GUARD + 4L * size, 4);
        memory[i].fill(UNTOUCHED);
        addresses[i] = memory[i].address() + GUARD;
        for (int element = 0; i < each.arrays.length - 1 && element < size; element++) {
          set(each.arrays[i], memory[i], element, random(each.random));
        }
      }
      float[] scalars = new float[each.scalars];
      MemorySegment table = loop.table(arena);
      for (int i = 0; i < scalars.length; i++) {
        scalars[i] = (float) each.random.nextGaussian();
        table.setAtIndex(ValueLayout.JAVA_FLOAT, i, scalars[i]);
      }
      loop.run(
          addresses[0],
          addresses[1],
          addresses[2],
          addresses[3],
          addresses[4],
          size,
          table.address());
      int last = each.arrays.length - 1;
      for (int element = 0; element < size; element++) {
        int[] elements = new int[last];
        for (int i = 0; i < last; i++) {
          elements[i] = get(each.arrays[i], memory[i], element);
        }
        int wanted = each.results.getFirst().of(elements, scalars);
        int got = get(each.arrays[last], memory[last], element);
        if (nan(wanted)) {
          assertThat(Float.intBitsToFloat(got)).as(what).isNaN();
          continue;
        }
        if (each.arrays[last] == Type.BF16) {
          wanted = DType.floatToBf16(Float.intBitsToFloat(wanted)) << 16;
        }
        assertThat(got).as("%s, element %s of %s", what, element, size).isEqualTo(wanted);
        compared++;
      }
      long end = GUARD + (long) each.arrays[last].bytes() * size;
      for (long i = 0; i < memory[last].byteSize(); i++) {
        if (i < GUARD || i >= end) {
          assertThat(memory[last].get(ValueLayout.JAVA_BYTE, i)).as(what).isEqualTo(UNTOUCHED);
        }
      }
    }
    return compared;
  }

  private static float random(Random random) {
    return random.nextInt(5) == 0
        ? SPECIAL[random.nextInt(SPECIAL.length)]
        : (float) random.nextGaussian();
  }

  private static int get(Type type, MemorySegment memory, int element) {
    long at = GUARD + (long) type.bytes() * element;
    return type == Type.F32
        ? memory.get(ValueLayout.JAVA_INT, at)
        : memory.get(ValueLayout.JAVA_SHORT, at) << 16;
  }

  private static void set(Type type, MemorySegment memory, int element, float value) {
    long at = GUARD + (long) type.bytes() * element;
    if (type == Type.F32) {
      memory.set(ValueLayout.JAVA_FLOAT, at, value);
    } else {
      memory.set(ValueLayout.JAVA_SHORT, at, DType.floatToBf16(value));
    }
  }

  @Test
  void bf16_keepsWhatIsNotANumber() {
    VectorProgram program = new VectorProgram(Type.F32, Type.BF16);
    program.store(1, program.load(0));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = arena.allocate(4L * 20, 4);
      MemorySegment y = arena.allocate(2L * 20, 4);
      for (int i = 0; i < 20; i++) {
        // The highest payload would overflow into a number.
        x.setAtIndex(ValueLayout.JAVA_INT, i, 0x7fff_ffff);
      }
      program.compile().orElseThrow().run(x.address(), y.address(), 0, 20);
      for (int i = 0; i < 20; i++) {
        assertThat(DType.bf16ToFloat(y.getAtIndex(ValueLayout.JAVA_SHORT, i))).isNaN();
      }
    }
  }

  /** Of each pair of vectors that lie side by side, and of what is left. */
  @Test
  void approximations_areRoundedToTheNearest_tiesTowardsZero() {
    int size = 85;
    VectorProgram program = new VectorProgram(Type.BF16, Type.BF16);
    program.storeApproximation(
        1, program.add(program.load(0), program.constant(1 / 256f + 1 / 1024f)));
    VectorProgram tie = new VectorProgram(Type.BF16, Type.BF16);
    tie.storeApproximation(1, tie.add(tie.load(0), tie.constant(1 / 256f)));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = arena.allocate(2L * size, 2);
      MemorySegment y = arena.allocate(2L * size, 2);
      for (int i = 0; i < size; i++) {
        x.setAtIndex(ValueLayout.JAVA_SHORT, i, DType.floatToBf16(1 + i / 128f));
      }
      for (VectorProgram each : List.of(program, tie)) {
        each.compile().orElseThrow().run(x.address(), y.address(), 0, size);
        int up = each == tie ? 0 : 1;
        for (int i = 0; i < size; i++) {
          assertThat(DType.bf16ToFloat(y.getAtIndex(ValueLayout.JAVA_SHORT, i)))
              .isEqualTo(1 + (i + up) / 128f);
        }
      }
    }
  }

  @Test
  void aTable_hasThirtyTwoNumbers() {
    VectorProgram program = new VectorProgram(Type.F32, Type.F32);
    Value x = program.load(0);
    assertThatThrownBy(() -> program.lookUp(x, new float[16]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("VectorProgram: a table of 16 numbers, not 32");
  }

  @Test
  void tooManyValuesAtATime_areRefused() {
    VectorProgram program = new VectorProgram(Type.F32, Type.F32);
    List<Value> all = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      all.add(program.squareRoot(program.load(0)));
    }
    Value sum = all.getFirst();
    for (Value each : all) {
      sum = program.add(sum, each);
    }
    program.store(1, sum);
    assertThatThrownBy(program::compile)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("VectorProgram: it needs more than 32 registers");
  }

  @Test
  void scalars_comeFirst_andNeedATable() {
    VectorProgram program = new VectorProgram(Type.F32, Type.F32);
    program.store(1, program.multiply(program.load(0), program.scalar()));
    VectorLoop loop = program.compile().orElseThrow();
    assertThatThrownBy(() -> loop.run(0, 0, 0, 16))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("table");
    program.constant(1);
    assertThatThrownBy(program::scalar)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("after constants");
  }

  @Test
  void arrays_areFiveAtMost() {
    Type f = Type.F32;
    assertThatThrownBy(() -> new VectorProgram(f, f, f, f, f, f))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("VectorProgram: 6 arrays, at most 5");
  }
}
