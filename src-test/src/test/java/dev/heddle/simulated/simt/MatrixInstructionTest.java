package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code mma} and {@code ldmatrix} against the fragment layouts that the PTX manual draws. */
class MatrixInstructionTest {
  private final Device device = new Device();

  @AfterEach
  void close() {
    device.close();
  }

  /**
   * The manual's formulas: for element {@code i} of lane {@code lane}, its row and column in A (16
   * x k), in B (k x 8) and in C (16 x 8).
   */
  private static int[] elementOfA(int lane, int i, boolean single) {
    int group = lane / 4;
    int inGroup = lane % 4;
    if (single) {
      return new int[] {i % 2 == 0 ? group : group + 8, i < 2 ? inGroup : inGroup + 4};
    }
    int row = i % 4 < 2 ? group : group + 8;
    int column = inGroup * 2 + (i & 1) + (i >= 4 ? 8 : 0);
    return new int[] {row, column};
  }

  private static int[] elementOfB(int lane, int i, boolean single) {
    int inGroup = lane % 4;
    int row = single ? inGroup + 4 * i : inGroup * 2 + (i & 1) + (i >= 2 ? 8 : 0);
    return new int[] {row, lane / 4};
  }

  private static int[] elementOfC(int lane, int i) {
    return new int[] {lane / 4 + (i < 2 ? 0 : 8), lane % 4 * 2 + (i & 1)};
  }

  @ParameterizedTest
  @CsvSource({"bf16,16", "bf16,8", "f16,16", "f16,8", "tf32,8", "tf32,4"})
  void mma_multipliesAsTheLayoutSays(String type, int depth) {
    boolean single = type.equals("tf32");
    SplittableRandom random = new SplittableRandom(depth);
    float[][] a = new float[16][depth];
    float[][] b = new float[depth][8];
    float[][] c = new float[16][8];
    // Small whole numbers: exact in every type, and in every order of summation.
    for (float[][] matrix : new float[][][] {a, b, c}) {
      for (float[] row : matrix) {
        for (int i = 0; i < row.length; i++) {
          row[i] = random.nextInt(-8, 9);
        }
      }
    }
    int registersA = single ? depth / 2 : depth / 4;
    int registersB = single ? depth / 4 : depth / 8;
    int perLane = registersA + registersB + 4;
    int[] fragments = new int[32 * perLane];
    for (int lane = 0; lane < 32; lane++) {
      for (int i = 0; i < registersA * (single ? 1 : 2); i++) {
        int[] at = elementOfA(lane, i, single);
        put(fragments, lane * perLane, i, a[at[0]][at[1]], type);
      }
      for (int i = 0; i < registersB * (single ? 1 : 2); i++) {
        int[] at = elementOfB(lane, i, single);
        put(fragments, lane * perLane + registersA, i, b[at[0]][at[1]], type);
      }
      for (int i = 0; i < 4; i++) {
        int[] at = elementOfC(lane, i);
        fragments[lane * perLane + registersA + registersB + i] =
            Float.floatToIntBits(c[at[0]][at[1]]);
      }
    }
    long in = device.ints(fragments.length, i -> fragments[i]);
    long out = device.ints(128, i -> 0);
    StringBuilder text =
        new StringBuilder(
            """
            .visible .entry k(.param .u64 in, .param .u64 out) {
            .reg .b32 %r<16>; .reg .b64 %d<8>;
            mov.u32 %r15, %tid.x; ld.param.u64 %d1, [in]; ld.param.u64 %d2, [out];
            mul.wide.u32 %d4, %r15, 16; add.s64 %d2, %d2, %d4;
            """);
    text.append("mul.wide.u32 %d3, %r15, ").append(4 * perLane).append(";\n");
    text.append("add.s64 %d1, %d1, %d3;\n");
    for (int i = 0; i < perLane; i++) {
      text.append("ld.global.b32 %%r%d, [%%d1+%d];\n".formatted(i, 4 * i));
    }
    String sums = registers(registersA + registersB, 4);
    text.append("mma.sync.aligned.m16n8k")
        .append(depth)
        .append(".row.col.f32.%1$s.%1$s.f32 ".formatted(type))
        .append(sums + ", " + registers(0, registersA) + ", ")
        .append(registers(registersA, registersB) + ", " + sums + ";\n")
        .append("st.global.v4.b32 [%d2], " + sums + ";\nret; }");
    device.run(text.toString(), 1, 32, in, out);
    float[] results = device.floats(out, 128);
    for (int lane = 0; lane < 32; lane++) {
      for (int i = 0; i < 4; i++) {
        int[] at = elementOfC(lane, i);
        float want = c[at[0]][at[1]];
        for (int k = 0; k < depth; k++) {
          want += a[at[0]][k] * b[k][at[1]];
        }
        assertThat(results[4 * lane + i]).isEqualTo(want);
      }
    }
  }

  private static String registers(int first, int count) {
    StringBuilder text = new StringBuilder("{");
    for (int i = 0; i < count; i++) {
      text.append(i == 0 ? "%r" : ", %r").append(first + i);
    }
    return text + "}";
  }

  private static void put(int[] fragments, int at, int element, float value, String type) {
    switch (type) {
      case "tf32" -> fragments[at + element] = Float.floatToIntBits(value);
      case "f16" ->
          fragments[at + element / 2] |=
              (Float.floatToFloat16(value) & 0xFFFF) << (16 * (element & 1));
      default ->
          fragments[at + element / 2] |=
              (Float.floatToIntBits(value) >>> 16) << (16 * (element & 1));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"x1", "x2", "x4", "x1.trans", "x2.trans", "x4.trans"})
  void ldmatrix_deliversRows(String form) {
    int matrices = form.charAt(1) - '0';
    boolean transposed = form.endsWith("trans");
    long out = device.ints(128, i -> -1);
    // Shared memory holds 16-bit numbers 0, 1, 2, ...; row r of matrix m begins with 16 (8 m + r).
    device.run(
        """
        .visible .entry k(.param .u64 out) {
        .shared .align 16 .b8 s[1280];
        .reg .pred %%p<3>; .reg .b16 %%h<4>; .reg .b32 %%r<16>; .reg .b64 %%d<8>;
        mov.u32 %%r0, %%tid.x; mov.u32 %%r1, %%r0; mov.u32 %%r6, s;
        $fill: shl.b32 %%r2, %%r1, 1; add.s32 %%r2, %%r2, %%r6; cvt.u16.u32 %%h1, %%r1;
        st.shared.u16 [%%r2], %%h1; add.s32 %%r1, %%r1, 32; setp.lt.u32 %%p1, %%r1, 640; @%%p1 bra $fill;
        bar.warp.sync -1;
        mad.lo.s32 %%r3, %%r0, 32, %%r6;
        ldmatrix.sync.aligned.m8n8.%s.shared.b16 %s, [%%r3];
        mul.wide.u32 %%d1, %%r0, %d; ld.param.u64 %%d2, [out]; add.s64 %%d2, %%d2, %%d1;
        %s
        ret; }
        """
            .formatted(form, registers(10, matrices), 4 * matrices, stores(matrices)),
        1,
        32,
        out);
    short[] results = device.shorts(out, 64 * matrices);
    for (int lane = 0; lane < 32; lane++) {
      for (int matrix = 0; matrix < matrices; matrix++) {
        for (int i = 0; i < 2; i++) {
          int row = transposed ? lane % 4 * 2 + i : lane / 4;
          int column = transposed ? lane / 4 : lane % 4 * 2 + i;
          assertThat((int) results[2 * (lane * matrices + matrix) + i])
              .isEqualTo(16 * (8 * matrix + row) + column);
        }
      }
    }
  }

  private static String stores(int count) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < count; i++) {
      text.append("st.global.b32 [%d2+").append(4 * i).append("], %r").append(10 + i).append("; ");
    }
    return text.toString();
  }
}
