package dev.heddle.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.math.BigDecimal;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.Test;

class DTypeTest {
  private static final long SEED = Long.getLong("heddle.seed", 20260727);

  private static float round(float value) {
    return DType.bf16ToFloat(DType.floatToBf16(value));
  }

  private static float bits(int bits) {
    return Float.intBitsToFloat(bits);
  }

  @Test
  void bf16_everyValue_survivesTheWayThroughFloat() {
    for (int i = 0; i < 1 << 16; i++) {
      short bits = (short) i;
      float value = DType.bf16ToFloat(bits);
      short back = DType.floatToBf16(value);
      if (Float.isNaN(value)) {
        assertThat(DType.bf16ToFloat(back)).isNaN();
      } else {
        assertThat(back).isEqualTo(bits);
      }
    }
  }

  @Test
  void bf16_ties_roundToEven() {
    // 1 + 2^-8 is halfway between 1 and 1 + 2^-7; 1 + 3 2^-8 between 1 + 2^-7 and 1 + 2^-6.
    assertThat(round(1 + 0x1p-8f)).isEqualTo(1f);
    assertThat(round(1 + 3 * 0x1p-8f)).isEqualTo(1 + 0x1p-6f);
    assertThat(round(-1 - 0x1p-8f)).isEqualTo(-1f);
    assertThat(round(-1 - 3 * 0x1p-8f)).isEqualTo(-1 - 0x1p-6f);
    assertThat(round(bits(0x3f808001))).isEqualTo(1 + 0x1p-7f);
    assertThat(round(bits(0x3f817fff))).isEqualTo(1 + 0x1p-7f);
  }

  @Test
  void bf16_randomFloats_goToTheNearest() {
    RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(SEED);
    for (int i = 0; i < 20_000; i++) {
      float value = bits(random.nextInt());
      if (!Float.isFinite(value) || Math.abs(value) > 3.3e38f) {
        continue;
      }
      short got = DType.floatToBf16(value);
      double error = Math.abs((double) value - DType.bf16ToFloat(got));
      for (int step = -1; step <= 1; step += 2) {
        double neighbour = DType.bf16ToFloat((short) (got + step));
        assertThat(error)
            .as("%s (-Dheddle.seed=%d)", value, SEED)
            .isLessThanOrEqualTo(Math.abs(value - neighbour));
      }
    }
  }

  @Test
  void bf16_specialValues_staySpecial() {
    assertThat(round(Float.POSITIVE_INFINITY)).isEqualTo(Float.POSITIVE_INFINITY);
    assertThat(round(Float.NEGATIVE_INFINITY)).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThat(round(Float.MAX_VALUE)).isEqualTo(Float.POSITIVE_INFINITY);
    assertThat(Float.floatToRawIntBits(round(-0f))).isEqualTo(0x80000000);
    assertThat(round(Float.MIN_VALUE)).isZero();
    // NaNs whose upper half alone would read as infinity or would carry into the sign.
    for (int nan : new int[] {0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001, 0xffffffff}) {
      assertThat(round(bits(nan))).isNaN();
      assertThat(DType.floatToBf16(bits(nan)) < 0).isEqualTo(nan < 0);
    }
  }

  @Test
  void accumulation_everyType_isAtLeastAsWide() {
    assertThat(DType.F64.accumulation()).isEqualTo(DType.F64);
    assertThat(DType.F32.accumulation()).isEqualTo(DType.F32);
    assertThat(DType.BF16.accumulation()).isEqualTo(DType.F32);
    assertThat(DType.U8.accumulation()).isEqualTo(DType.I64);
    assertThat(DType.F64.isFloating() && DType.F32.isFloating() && DType.BF16.isFloating())
        .isTrue();
    assertThat(DType.I32.isFloating() || DType.I64.isFloating() || DType.U8.isFloating()).isFalse();
  }

  @Test
  void readAndWrite_everyType_areInverseAndPacked() {
    for (DType type : DType.values()) {
      MemorySegment memory = MemorySegment.ofArray(new long[8]);
      double[] values = {0, 1, 2, 200, 77};
      for (int i = 0; i < values.length; i++) {
        type.write(memory, i, values[i]);
      }
      for (int i = 0; i < values.length; i++) {
        assertThat(type.read(memory, i)).as("%s", type).isEqualTo(values[i]);
      }
      // Nothing is written beyond the last element.
      long end = (long) values.length * type.byteSize();
      assertThat(memory.asSlice(end).mismatch(MemorySegment.ofArray(new byte[64 - (int) end])))
          .isEqualTo(-1);
    }
  }

  @Test
  void write_fractions_roundOrTruncate() {
    MemorySegment memory = MemorySegment.ofArray(new long[1]);
    DType.I32.write(memory, 0, -2.9);
    assertThat(DType.I32.read(memory, 0)).isEqualTo(-2);
    DType.I64.write(memory, 0, 1e300);
    assertThat(DType.I64.read(memory, 0)).isEqualTo((double) Long.MAX_VALUE);
    DType.U8.write(memory, 0, 255.9);
    assertThat(DType.U8.read(memory, 0)).isEqualTo(255);
    DType.F32.write(memory, 0, 0.1);
    BigDecimal nearest = new BigDecimal(DType.F32.read(memory, 0));
    assertThat(nearest).isEqualTo(new BigDecimal(0.1f));
  }
}
