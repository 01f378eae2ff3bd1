package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class WarpInstructionTest {
  private final Device device = new Device();

  @AfterEach
  void close() {
    device.close();
  }

  /** What 32 lanes have in {@code %r0} after {@code body}, {@code %r1} being the lane. */
  private int[] lanes(String body) {
    long out = device.ints(32, i -> -77);
    device.run(
        """
        .visible .entry k(.param .u64 out) {
        .reg .pred %%p<6>; .reg .b32 %%r<12>; .reg .b64 %%d<4>;
        mov.u32 %%r1, %%laneid; mul.wide.u32 %%d1, %%r1, 4; mul.lo.s32 %%r2, %%r1, %%r1;
        mov.u32 %%r0, 0;
        %s
        ld.param.u64 %%d2, [out]; add.s64 %%d2, %%d2, %%d1; st.global.u32 [%%d2], %%r0;
        ret; }
        """
            .formatted(body),
        1,
        32,
        out);
    return device.ints(out, 32);
  }

  private void check(String body, IntUnaryOperator expected) {
    int[] results = lanes(body);
    for (int lane = 0; lane < 32; lane++) {
      assertThat(results[lane]).as(body + " lane " + lane).isEqualTo(expected.applyAsInt(lane));
    }
  }

  private static int square(int lane) {
    return lane * lane;
  }

  @Test
  void shuffles_moveValuesWithinSegments() {
    check("shfl.sync.bfly.b32 %r0, %r2, 5, 31, -1;", lane -> square(lane ^ 5));
    check(
        "shfl.sync.down.b32 %r0, %r2, 3, 31, -1;",
        lane -> lane + 3 <= 31 ? square(lane + 3) : square(lane));
    check(
        "shfl.sync.up.b32 %r0, %r2, 2, 0, 0xffffffff;",
        lane -> lane >= 2 ? square(lane - 2) : square(lane));
    check("shfl.sync.idx.b32 %r0, %r2, 7, 31, -1;", lane -> square(7));
    // Segments of eight lanes: (32 - 8) << 8 is the mask, 31 or 7 the clamp.
    check(
        "shfl.sync.down.b32 %r0, %r2, 3, 0x181f, -1;",
        lane -> (lane & 7) + 3 <= 7 ? square(lane + 3) : square(lane));
    check("shfl.sync.idx.b32 %r0, %r2, 5, 0x181f, -1;", lane -> square((lane & 24) + 5));
    check(
        "shfl.sync.up.b32 %r0, %r2, 3, 0x1800, -1;",
        lane -> (lane & 7) >= 3 ? square(lane - 3) : square(lane));
  }

  @Test
  void shuffles_tellWhetherTheyWereInRange() {
    check(
        "shfl.sync.down.b32 %r3|%p1, %r2, 30, 31, -1; selp.b32 %r0, 1, 0, %p1;",
        lane -> lane + 30 <= 31 ? 1 : 0);
    check(
        "shfl.sync.up.b32 %r3|%p1, %r2, 4, 0, -1; selp.b32 %r0, 1, 0, %p1;",
        lane -> lane >= 4 ? 1 : 0);
  }

  @Test
  void shuffle_ofHalfAWarp() {
    check(
        """
        setp.lt.u32 %p1, %r1, 16; @!%p1 bra $rest;
        shfl.sync.bfly.b32 %r0, %r2, 3, 31, 0xffff;
        $rest:
        """,
        lane -> lane < 16 ? square(lane ^ 3) : 0);
  }

  @Test
  void votes() {
    check("setp.gt.u32 %p1, %r1, 10; vote.sync.ballot.b32 %r0, %p1, -1;", lane -> -1 << 11);
    check(
        "setp.gt.u32 %p1, %r1, 10; vote.sync.any.pred %p2, %p1, -1; selp.b32 %r0, 1, 0, %p2;",
        lane -> 1);
    check(
        "setp.gt.u32 %p1, %r1, 10; vote.sync.all.pred %p2, %p1, -1; selp.b32 %r0, 1, 0, %p2;",
        lane -> 0);
    check(
        "setp.gt.u32 %p1, %r1, 99; vote.sync.all.pred %p2, !%p1, -1; selp.b32 %r0, 1, 0, %p2;",
        lane -> 1);
    check(
        "setp.gt.u32 %p1, %r1, 99; vote.sync.uni.pred %p2, %p1, -1; selp.b32 %r0, 1, 0, %p2;",
        lane -> 1);
  }

  @Test
  void matchReduxElectAndActiveMask() {
    check(
        "and.b32 %r3, %r1, 3; match.any.sync.b32 %r0, %r3, -1;", lane -> 0x1111_1111 << (lane & 3));
    check("mov.u32 %r3, 5; match.all.sync.b32 %r0|%p1, %r3, -1; @!%p1 mov.u32 %r0, 9;", lane -> -1);
    check("match.all.sync.b32 %r0|%p1, %r1, -1; @!%p1 add.s32 %r0, %r0, 9;", lane -> 9);
    check("redux.sync.add.s32 %r0, %r1, -1;", lane -> 496);
    check("redux.sync.min.s32 %r0, %r2, -1;", lane -> 0);
    check("sub.s32 %r3, 0, %r1; redux.sync.max.u32 %r0, %r3, -1;", lane -> -1);
    check("sub.s32 %r3, 0, %r1; redux.sync.max.s32 %r0, %r3, -1;", lane -> 0);
    check("redux.sync.xor.b32 %r0, %r1, -1;", lane -> 0);
    check("elect.sync %r3|%p1, -1; selp.b32 %r0, 1, 0, %p1;", lane -> lane == 0 ? 1 : 0);
    check(
        "setp.lt.u32 %p1, %r1, 7; @!%p1 bra $rest; activemask.b32 %r0; $rest:",
        lane -> lane < 7 ? 127 : 0);
  }

  @Test
  void laneMasks() {
    check("mov.u32 %r0, %lanemask_lt;", lane -> (1 << lane) - 1);
    check("mov.u32 %r0, %lanemask_ge;", lane -> -1 << lane);
    check("mov.u32 %r0, %lanemask_eq;", lane -> 1 << lane);
    check("mov.u32 %r0, %lanemask_gt;", lane -> lane == 31 ? 0 : -1 << (lane + 1));
    check("mov.u32 %r0, %lanemask_le;", lane -> lane == 31 ? -1 : (1 << (lane + 1)) - 1);
  }

  @Test
  void specialRegisters_inThreeDimensions() {
    long out = device.ints(2 * 3 * 2 * 4 * 3 * 2, i -> -1);
    device.run(
        """
        .visible .entry k(.param .u64 out) {
        .reg .b32 %r<24>; .reg .b64 %d<4>;
        mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.z;
        mov.u32 %r4, %ntid.x; mov.u32 %r5, %ntid.y; mov.u32 %r6, %ntid.z;
        mov.u32 %r7, %ctaid.x; mov.u32 %r8, %ctaid.y; mov.u32 %r9, %ctaid.z;
        mov.u32 %r10, %nctaid.x; mov.u32 %r11, %nctaid.y;
        mad.lo.s32 %r12, %r9, %r11, %r8; mad.lo.s32 %r12, %r12, %r10, %r7;
        mad.lo.s32 %r13, %r3, %r5, %r2; mad.lo.s32 %r13, %r13, %r4, %r1;
        mul.lo.s32 %r14, %r4, %r5; mul.lo.s32 %r14, %r14, %r6;
        mad.lo.s32 %r15, %r12, %r14, %r13;
        mul.wide.u32 %d1, %r15, 4; ld.param.u64 %d2, [out]; add.s64 %d2, %d2, %d1;
        st.global.u32 [%d2], %r15; ret; }
        """,
        new Launch(2, 3, 2, 4, 3, 2, 0, Device.parameters(out), Launch.Options.DEFAULT));
    assertThat(device.ints(out, 288)).isEqualTo(IntStream.range(0, 288).toArray());
  }

  @Test
  void barrierReductions() {
    long out = device.ints(96, i -> -1);
    device.run(
        """
        .visible .entry k(.param .u64 out) {
        .reg .pred %p<6>; .reg .b32 %r<12>; .reg .b64 %d<4>;
        mov.u32 %r1, %tid.x; mul.wide.u32 %d1, %r1, 4;
        setp.lt.u32 %p1, %r1, 40;
        bar.red.popc.u32 %r0, 0, %p1;
        bar.red.or.pred %p2, 0, %p1; @%p2 add.s32 %r0, %r0, 1000;
        barrier.cta.red.and.pred %p3, 0, %p1; @%p3 add.s32 %r0, %r0, 5000;
        ld.param.u64 %d2, [out]; add.s64 %d2, %d2, %d1; st.global.u32 [%d2], %r0; ret; }
        """,
        1, 96, out);
    assertThat(device.ints(out, 96)).containsOnly(1040);
  }

  @Test
  void indexedBranch_goesWhereTheIndexSays() {
    check(
        """
        $targets: .branchtargets $zero, $one, $two;
        rem.u32 %r3, %r1, 3;
        brx.idx %r3, $targets;
        $zero: mov.u32 %r0, 100; bra $end;
        $one: mov.u32 %r0, 200; bra.uni $end;
        $two: mov.u32 %r0, 300;
        $end:
        """,
        lane -> 100 * (lane % 3 + 1));
  }
}
