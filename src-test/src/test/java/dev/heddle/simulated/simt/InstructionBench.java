package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.simulated.ptx.PtxModule;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/**
 * Runs one instruction on many values. Each thread has four numbers of 64 bits; {@code %d1} to
 * {@code %d4} hold them, {@code %r1..4} their lower 32 bits, {@code %h1..4} their lower 16 bits and
 * {@code %p1..4} their lowest bit. The result is in {@code %d0}, {@code %r0}, {@code %h0} or {@code
 * %p0}.
 */
final class InstructionBench implements AutoCloseable {
  private static final int THREADS = 512;
  private static final int SLOTS = 4;

  private static final long[] EDGES = {
    0,
    1,
    2,
    -1,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFFL,
    0x8000_0000L,
    0xFFFF_FFFFL,
    Long.MAX_VALUE,
    Long.MIN_VALUE,
    31,
    32,
    33,
    63,
    64,
    0x3F80_0000L,
    0xBF80_0000L,
    0x7F80_0000L,
    0xFF80_0000L,
    0x7FC0_0000L,
    0x0000_0001L,
    0x8000_0001L,
    0x0080_0000L,
    0x7F7F_FFFFL,
    0x3FF0_0000_0000_0000L,
    0x7FF0_0000_0000_0000L,
    0xFFF0_0000_0000_0000L,
    0x7FF8_0000_0000_0000L,
    0x3C00,
    0x7C00,
    0xFC00,
    0x7E00,
    0x3F80,
    0x7F80
  };

  /** What the result should be, of a thread's four numbers. */
  interface Expected {
    long of(long a, long b, long c, long e);
  }

  private final Device device = new Device();
  private final long[] values = new long[THREADS * SLOTS];
  private final long input;
  private final long output;

  InstructionBench() {
    SplittableRandom random = new SplittableRandom(7);
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (random.nextInt(4)) {
            case 0 -> EDGES[random.nextInt(EDGES.length)];
            case 1 -> random.nextInt(-40, 80);
            // Numbers of usual size, as f32 in the lower half and f64 in the upper.
            case 2 ->
                (Double.doubleToRawLongBits(random.nextDouble(-1e4, 1e4)) & 0xFFFF_FFFF_0000_0000L)
                    | (Float.floatToRawIntBits((float) random.nextDouble(-300, 300))
                        & 0xFFFF_FFFFL);
            default -> random.nextLong();
          };
    }
    input = device.longs(values);
    output = device.memory.allocate(8L * THREADS);
  }

  /** Replaces the numbers by these doubles: as f64, or as f32 in the lower half. */
  InstructionBench withNumbers(boolean single, double least, double greatest) {
    SplittableRandom random = new SplittableRandom(11);
    for (int i = 0; i < values.length; i++) {
      double number = random.nextDouble(least, greatest);
      values[i] =
          single
              ? Float.floatToRawIntBits((float) number) & 0xFFFF_FFFFL
              : Double.doubleToRawLongBits(number);
    }
    MemorySegment.copy(
        MemorySegment.ofArray(values),
        0,
        device.memory.at(input, 8L * values.length, "test"),
        0,
        8L * values.length);
    return this;
  }

  /** Runs {@code instruction} in all threads. */
  long[] run(String instruction) {
    char kind = resultKind(instruction);
    StringBuilder text =
        new StringBuilder(
            """
            .visible .entry bench(.param .u64 in, .param .u64 out) {
            .reg .pred %p<5>; .reg .b16 %h<5>; .reg .b32 %r<7>; .reg .b64 %d<12>;
            mov.u32 %r5, %tid.x;
            ld.param.u64 %d5, [in];
            mul.wide.u32 %d6, %r5, 32;
            add.s64 %d5, %d5, %d6;
            ld.param.u64 %d7, [out];
            mul.wide.u32 %d8, %r5, 8;
            add.s64 %d7, %d7, %d8;
            """);
    for (int slot = 1; slot <= SLOTS; slot++) {
      int at = 8 * (slot - 1);
      text.append("ld.global.b64 %d").append(slot).append(", [%d5+").append(at).append("];\n");
      text.append("ld.global.b32 %r").append(slot).append(", [%d5+").append(at).append("];\n");
      text.append("ld.global.b16 %h").append(slot).append(", [%d5+").append(at).append("];\n");
      text.append("and.b32 %r6, %r").append(slot).append(", 1;\n");
      text.append("setp.ne.s32 %p").append(slot).append(", %r6, 0;\n");
    }
    text.append(instruction).append('\n');
    text.append(
        switch (kind) {
          case 'p' -> "selp.b64 %d0, 1, 0, %p0;\n";
          case 'h' -> "cvt.u64.u16 %d0, %h0;\n";
          case 'r' -> "cvt.u64.u32 %d0, %r0;\n";
          default -> "";
        });
    text.append("st.global.b64 [%d7], %d0;\nret;\n}\n");
    PtxModule module = Device.module(text.toString());
    device.run(module, "bench", Launch.of(1, THREADS, 0, Device.parameters(input, output)));
    return device.longs(output, THREADS);
  }

  private static char resultKind(String instruction) {
    for (char kind : new char[] {'p', 'h', 'r', 'd'}) {
      if (instruction.contains("%" + kind + "0")) {
        return kind;
      }
    }
    throw new IllegalArgumentException(instruction);
  }

  /** The result's bits are those that {@code expected} gives, cut to the result's width. */
  void check(String instruction, Expected expected) {
    long mask =
        switch (resultKind(instruction)) {
          case 'p' -> 1;
          case 'h' -> 0xFFFF;
          case 'r' -> 0xFFFF_FFFFL;
          default -> -1L;
        };
    long[] results = run(instruction);
    for (int i = 0; i < THREADS; i++) {
      long want = expectedOf(expected, i) & mask;
      assertThat(results[i]).as(describe(instruction, i)).isEqualTo(want);
    }
  }

  /** Like {@link #check}, all NaN of an {@code f32} being the same. */
  void checkF32(String instruction, Expected expected) {
    long[] results = run(instruction);
    for (int i = 0; i < THREADS; i++) {
      float want = Float.intBitsToFloat((int) expectedOf(expected, i));
      float got = Float.intBitsToFloat((int) results[i]);
      assertThat(Float.floatToIntBits(got))
          .as(describe(instruction, i) + " got " + got + " want " + want)
          .isEqualTo(Float.floatToIntBits(want));
    }
  }

  /** Like {@link #check}, all NaN of an {@code f64} being the same. */
  void checkF64(String instruction, Expected expected) {
    long[] results = run(instruction);
    for (int i = 0; i < THREADS; i++) {
      double want = Double.longBitsToDouble(expectedOf(expected, i));
      double got = Double.longBitsToDouble(results[i]);
      assertThat(Double.doubleToLongBits(got))
          .as(describe(instruction, i) + " got " + got + " want " + want)
          .isEqualTo(Double.doubleToLongBits(want));
    }
  }

  private long expectedOf(Expected expected, int thread) {
    return expected.of(
        values[4 * thread], values[4 * thread + 1], values[4 * thread + 2], values[4 * thread + 3]);
  }

  private String describe(String instruction, int thread) {
    return "%s of 0x%x, 0x%x, 0x%x, 0x%x"
        .formatted(
            instruction,
            values[4 * thread],
            values[4 * thread + 1],
            values[4 * thread + 2],
            values[4 * thread + 3]);
  }

  @Override
  public void close() {
    device.close();
  }
}
