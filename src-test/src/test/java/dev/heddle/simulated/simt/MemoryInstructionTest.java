package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.simulated.ptx.PtxModule;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MemoryInstructionTest {
  private final Device device = new Device();

  @AfterEach
  void close() {
    device.close();
  }

  @Test
  void loadsAndStores_ofAllWidthsExtendAndCut() {
    long in = device.ints(64, i -> 0x80F0_7F81 + i * 0x01010101);
    long out = device.ints(64 * 8, i -> 0);
    device.run(
        """
        .visible .entry k(.param .u64 in, .param .u64 out) {
        .reg .b16 %h<4>; .reg .b32 %r<8>; .reg .b64 %d<8>;
        mov.u32 %r1, %tid.x; mul.wide.u32 %d1, %r1, 4; mul.wide.u32 %d2, %r1, 32;
        ld.param.u64 %d3, [in]; add.s64 %d3, %d3, %d1;
        ld.param.u64 %d4, [out]; cvta.to.global.u64 %d4, %d4; add.s64 %d4, %d4, %d2;
        ld.global.s8 %r2, [%d3+1]; st.global.b32 [%d4], %r2;
        ld.global.u8 %r2, [%d3+3]; st.global.u8 [%d4+4], %r2;
        ld.global.s16 %r2, [%d3]; st.global.b32 [%d4+8], %r2;
        ld.global.u16 %h1, [%d3+2]; st.global.u16 [%d4+12], %h1;
        ld.global.s32 %d5, [%d3]; st.global.b64 [%d4+16], %d5;
        ld.volatile.global.nc.L1::no_allocate.L2::128B.b32 %r3, [%d3]; st.global.wb.b32 [%d4+24], %r3;
        ld.global.s8 %h2, [%d3]; st.global.u16 [%d4+28], %h2;
        ret; }
        """,
        1, 64, in, out);
    int[] inputs = device.ints(in, 64);
    int[] outputs = device.ints(out, 64 * 8);
    for (int i = 0; i < 64; i++) {
      int value = inputs[i];
      assertThat(Arrays.copyOfRange(outputs, 8 * i, 8 * i + 8))
          .containsExactly(
              (byte) (value >> 8),
              value >>> 24,
              (short) value,
              value >>> 16,
              value,
              value >> 31,
              value,
              (byte) value & 0xFFFF);
    }
  }

  @Test
  void vectors_areMovedWhole() {
    long in = device.ints(128, i -> i * i);
    long out = device.ints(128, i -> 0);
    device.run(
        """
        .visible .entry k(.param .u64 in, .param .u64 out) {
        .reg .b32 %r<8>; .reg .b64 %d<8>;
        mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 16;
        ld.param.u64 %d3, [in]; add.s64 %d3, %d3, %d1;
        ld.param.u64 %d4, [out]; add.s64 %d4, %d4, %d1;
        ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%d3];
        st.global.v2.u32 [%d4+8], {%r1, %r2};
        st.global.v2.f32 [%d4], {%r3, 0f3F800000};
        ret; }
        """,
        1, 32, in, out);
    int[] outputs = device.ints(out, 128);
    for (int i = 0; i < 32; i++) {
      int at = 4 * i;
      assertThat(Arrays.copyOfRange(outputs, at, at + 4))
          .containsExactly(
              (at + 2) * (at + 2), Float.floatToIntBits(1f), at * at, (at + 1) * (at + 1));
    }
  }

  @Test
  void localSharedAndGenericAddresses() {
    long out = device.ints(32, i -> 0);
    device.run(
        """
        .visible .entry k(.param .u64 out) {
        .local .align 8 .b8 depot[64]; .shared .align 4 .b8 staged[128];
        .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %d<16>;
        mov.u32 %r1, %tid.x; mul.wide.u32 %d1, %r1, 4;
        mov.u64 %d2, depot; cvta.local.u64 %d3, %d2;
        st.local.u32 [%d2+4], %r1; st.local.u32 [depot+8], 1000;
        ld.u32 %r2, [%d3+4]; ld.u32 %r3, [%d3+8]; add.s32 %r2, %r2, %r3;
        mov.u64 %d4, staged; cvta.shared.u64 %d5, %d4; add.s64 %d5, %d5, %d1;
        st.u32 [%d5], %r2;
        mov.u32 %r4, staged; shl.b32 %r5, %r1, 2; add.s32 %r4, %r4, %r5;
        ld.shared.u32 %r6, [%r4];
        isspacep.shared %p1, %d5; @!%p1 add.s32 %r6, %r6, 5000;
        isspacep.global %p2, %d5; @%p2 add.s32 %r6, %r6, 5000;
        ld.param.u64 %d7, [out]; isspacep.global %p3, %d7; @!%p3 add.s32 %r6, %r6, 5000;
        add.s64 %d7, %d7, %d1; st.global.u32 [%d7], %r6;
        ret; }
        """,
        1, 32, out);
    assertThat(device.ints(out, 32)).isEqualTo(IntStream.range(1000, 1032).toArray());
  }

  @Test
  void moduleVariables_areInitialisedAndKept() {
    PtxModule module =
        Device.module(
            """
            .const .align 4 .f32 table[3] = {0f3F800000, 0f40000000};
            .global .align 4 .u32 counter = 5;
            .global .align 8 .b8 bytes[8] = {1, 2, 3};
            .visible .entry k(.param .u64 out) {
            .reg .b32 %r<8>; .reg .f32 %f<3>; .reg .b64 %d<8>;
            ld.param.u64 %d1, [out];
            mov.u64 %d2, table; ld.const.f32 %f1, [%d2+4]; st.global.f32 [%d1], %f1;
            ld.const.f32 %f2, [table+8]; st.global.f32 [%d1+4], %f2;
            mov.u64 %d3, counter; atom.global.add.u32 %r1, [%d3], 1; st.global.u32 [%d1+8], %r1;
            ld.global.u8 %r2, [bytes+2]; st.global.u32 [%d1+12], %r2;
            ret; }
            """);
    long out = device.ints(4, i -> -1);
    Launch launch = Launch.of(1, 1, 0, Device.parameters(out));
    device.run(module, "k", launch);
    device.run(module, "k", launch);
    int[] results = device.ints(out, 4);
    assertThat(results).containsExactly(Float.floatToIntBits(2f), 0, 6, 3);
    assertThat(device.simulator.variable(module, "counter").get(ValueLayout.JAVA_INT_UNALIGNED, 0))
        .isEqualTo(7);
    device.simulator.unload(module);
    device.run(module, "k", launch);
    assertThat(device.ints(out, 4)[2]).isEqualTo(5);
  }

  @Test
  void parameters_areReadWhereTheyLie() {
    long out = device.longs(0, 0, 0);
    device.run(
        """
        .visible .entry k(.param .u64 .ptr .align 1 out, .param .u8 small, .param .align 8 .b8 record[24]) {
        .reg .b32 %r<8>; .reg .b64 %d<8>;
        ld.param.u64 %d1, [out]; ld.param.u8 %r1, [small]; cvt.u64.u32 %d2, %r1;
        st.global.u64 [%d1], %d2;
        mov.b64 %d3, record; add.s64 %d4, %d3, 8; ld.param.u64 %d5, [%d4]; st.global.u64 [%d1+8], %d5;
        ld.param.u32 %r2, [record+16]; st.global.u32 [%d1+16], %r2;
        ret; }
        """,
        1, 1, out, 0x2A, 0, 1L, 2L, 3);
    assertThat(device.longs(out, 3)).containsExactly(0x2A, 2, 3);
  }

  @Test
  void atomics_combineAllThreads() {
    long out = device.memory.allocate(256);
    device.memory.at(out, 256, "test").fill((byte) 0);
    String text =
        """
        .visible .entry k(.param .u64 out) {
        .reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %r<16>; .reg .b64 %d<8>;
        mov.u32 %r1, %tid.x; ld.param.u64 %d1, [out];
        red.global.add.u32 [%d1], %r1;
        red.global.max.s32 [%d1+4], %r1;
        sub.s32 %r2, 0, %r1; red.global.min.s32 [%d1+8], %r2;
        atom.global.add.f32 %r3, [%d1+12], 0f3F000000;
        mov.f64 %d2, 0d3FE0000000000000; red.global.add.f64 [%d1+16], %d2;
        mov.u64 %d3, 3; atom.global.add.u64 %d4, [%d1+24], %d3;
        and.b32 %r4, %r1, 31; mov.u32 %r5, 1; shl.b32 %r5, %r5, %r4; red.global.or.b32 [%d1+32], %r5;
        red.global.xor.b32 [%d1+36], %r5;
        red.global.inc.u32 [%d1+40], 9;
        mov.u32 %r6, 0x3C003C00; red.global.add.noftz.f16x2 [%d1+44], %r6;
        mov.u32 %r7, 0x3F803F80; atom.global.add.noftz.bf16x2 %r8, [%d1+48], %r7;
        $again: ld.relaxed.gpu.global.u32 %r9, [%d1+52]; add.s32 %r10, %r9, 2;
        atom.relaxed.global.cas.b32 %r11, [%d1+52], %r9, %r10;
        setp.ne.s32 %p1, %r11, %r9; @%p1 bra $again;
        atom.global.exch.b32 %r12, [%d1+56], %r1;
        red.global.max.u32 [%d1+60], %r2;
        red.global.dec.u32 [%d1+64], 6;
        atom.global.cas.b16 %h1, [%d1+68], 0, 77;
        ret; }
        """;
    device.run(text, 1, 64, out);
    int[] results = device.ints(out, 20);
    assertThat(results[0]).isEqualTo(63 * 64 / 2);
    assertThat(results[1]).isEqualTo(63);
    assertThat(results[2]).isEqualTo(-63);
    assertThat(Float.intBitsToFloat(results[3])).isEqualTo(32f);
    assertThat(device.longs(out, 4)[2]).isEqualTo(Double.doubleToLongBits(32));
    assertThat(device.longs(out, 4)[3]).isEqualTo(192);
    assertThat(results[8]).isEqualTo(-1);
    assertThat(results[9]).isZero();
    assertThat(results[10]).isEqualTo(64 % 10);
    assertThat(Float.float16ToFloat((short) results[11])).isEqualTo(64f);
    assertThat(Float.intBitsToFloat(results[12] << 16)).isEqualTo(64f);
    assertThat(results[13]).isEqualTo(128);
    assertThat(results[14]).isEqualTo(63);
    assertThat(results[15]).isEqualTo(-1);
    assertThat(results[16]).isEqualTo(6 - (64 - 1) % 7);
    assertThat(results[17]).isEqualTo(77);
  }

  @Test
  void asyncCopies_arriveAndFillWithZeros() {
    long in = device.ints(128, i -> i + 1);
    long out = device.ints(128, i -> -1);
    device.run(
        """
        .visible .entry k(.param .u64 in, .param .u64 out) {
        .shared .align 16 .b8 s[512];
        .reg .b32 %r<8>; .reg .b64 %d<8>;
        mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 16; shl.b32 %r1, %r0, 4;
        ld.param.u64 %d2, [in]; add.s64 %d2, %d2, %d1; ld.param.u64 %d3, [out]; add.s64 %d3, %d3, %d1;
        mov.u32 %r2, s; add.s32 %r1, %r1, %r2; and.b32 %r3, %r0, 15;
        cp.async.ca.shared.global [%r1], [%d2], 16, %r3;
        cp.async.commit_group;
        cp.async.wait_group 0;
        ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r1];
        st.global.v4.u32 [%d3], {%r4, %r5, %r6, %r7};
        ret; }
        """,
        1, 32, in, out);
    int[] results = device.ints(out, 128);
    for (int thread = 0; thread < 32; thread++) {
      for (int word = 0; word < 4; word++) {
        int bytes = Math.max(0, Math.min(4, (thread & 15) - 4 * word));
        int all = 4 * thread + word + 1;
        int want = bytes == 4 ? all : all & ((1 << (8 * bytes)) - 1);
        assertThat(results[4 * thread + word]).isEqualTo(want);
      }
    }
  }
}
