package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.memory.SimulatedFault.Kind;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Kernels with a bug each, which must be found and told; and their sound twins, which must run. */
class PlantedBugTest {
  private final Device device = new Device();

  @AfterEach
  void close() {
    device.close();
  }

  private static String kernel(String body) {
    return """
    .visible .entry buggy(.param .u64 data) {
    .shared .align 16 .b8 s[256];
    .reg .pred %p<8>; .reg .b32 %r<16>; .reg .b64 %d<16>;
    mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4;
    ld.param.u64 %d0, [data]; add.s64 %d2, %d0, %d1;
    shl.b32 %r1, %r0, 2; mov.u32 %r2, s; add.s32 %r2, %r2, %r1;
    """
        + body
        + "\nret; }\n";
  }

  private SimulatedFault fault(Kind kind, int threads, String body) {
    long data = device.ints(64, i -> i);
    return device.fault(kind, kernel(body), launch(threads, data));
  }

  private void runs(int threads, String body) {
    long data = device.ints(64, i -> i);
    device.run(kernel(body), launch(threads, data));
  }

  private static Launch launch(int threads, long data) {
    return Launch.of(1, threads, 0, Device.parameters(data));
  }

  @Test
  void outOfBounds_isToldWithLineThreadAndAllocation() {
    SimulatedFault fault =
        fault(Kind.ILLEGAL_ADDRESS, 64, "ld.global.u32 %r3, [%d2];\nst.global.u32 [%d2+4], %r3;");
    assertThat(fault)
        .hasMessageContaining("kernel buggy of test, line 11: st.global.u32 [%d2+4], %r3;")
        .hasMessageContaining("thread (63,0,0) (lane 31 of warp 1)")
        .hasMessageContaining("0 bytes after the end of [0x");
    runs(64, "ld.global.u32 %r3, [%d2];\nst.global.u32 [%d2], %r3;");
  }

  @Test
  void outOfBounds_ofSharedAndLocalMemory() {
    assertThat(fault(Kind.ILLEGAL_ADDRESS, 65, "st.shared.u32 [%r2], %r0;"))
        .hasMessageContaining("4 bytes at 0x100 of shared memory, of which the block has 256");
    fault(Kind.ILLEGAL_ADDRESS, 1, ".local .b8 l[8]; st.local.u32 [l+8], %r0;");
    fault(Kind.ILLEGAL_ADDRESS, 1, "st.global.u32 [%d1], %r0;");
  }

  @Test
  void misaligned_isFound() {
    assertThat(fault(Kind.MISALIGNED_ADDRESS, 2, "ld.global.u32 %r3, [%d2+2];"))
        .hasMessageContaining("no multiple of 4");
    fault(Kind.MISALIGNED_ADDRESS, 2, "ld.global.v2.u32 {%r3, %r4}, [%d2];");
    fault(Kind.MISALIGNED_ADDRESS, 2, "st.shared.u64 [%r2], %d1;");
    runs(1, "ld.global.v2.u32 {%r3, %r4}, [%d2];");
  }

  @Test
  void freedMemory_isFound() {
    long data = device.ints(64, i -> i);
    Launch launch = launch(64, data);
    String text = kernel("ld.global.u32 %r3, [%d2];");
    device.run(text, launch);
    device.memory.free(data);
    assertThat(device.fault(Kind.ILLEGAL_ADDRESS, text, launch))
        .hasMessageContaining("in an allocation that was freed");
  }

  private static final String NEIGHBOUR =
      """
      xor.b32 %%r3, %%r1, 128; mov.u32 %%r4, s; add.s32 %%r3, %%r3, %%r4;
      st.shared.u32 [%%r2], %%r0;
      %s
      ld.shared.u32 %%r5, [%%r3];
      """;

  @ParameterizedTest
  @EnumSource(Launch.Order.class)
  void missingBarrier_isARaceInEveryOrder(Launch.Order order) {
    long data = device.ints(64, i -> i);
    Launch launch = launch(64, data).with(Launch.Options.DEFAULT.withOrder(order, 3));
    device.run(kernel(NEIGHBOUR.formatted("bar.sync 0;")), launch);
    // In ordinary order the first warp reads before the second has written.
    SimulatedFault.Kind kind =
        catchThrowableOfType(
                SimulatedFault.class, () -> device.run(kernel(NEIGHBOUR.formatted("")), launch))
            .kind();
    assertThat(kind).isIn(Kind.RACE, Kind.UNINITIALISED_READ);
  }

  @Test
  void missingBarrier_betweenReadsAndTheNextWrites() {
    String loop =
        """
        mov.u32 %%r6, 0;
        xor.b32 %%r3, %%r1, 128; mov.u32 %%r4, s; add.s32 %%r3, %%r3, %%r4;
        $again:
        st.shared.u32 [%%r2], %%r6;
        bar.sync 0;
        ld.shared.u32 %%r5, [%%r3];
        %s
        add.s32 %%r6, %%r6, 1; setp.lt.u32 %%p1, %%r6, 3; @%%p1 bra $again;
        """;
    runs(64, loop.formatted("bar.sync 0;"));
    assertThat(fault(Kind.RACE, 64, loop.formatted("")))
        .hasMessageContaining("st.shared.u32 [%r2], %r6;")
        .hasMessageContaining("ld.shared.u32 %r5, [%r3];");
  }

  @Test
  void raceWithinAWarp_isFoundUnlessTheLanesMeet() {
    String text =
        """
        st.shared.u32 [%%r2], %%r0;
        %s
        xor.b32 %%r3, %%r1, 4; mov.u32 %%r4, s; add.s32 %%r3, %%r3, %%r4;
        ld.shared.u32 %%r5, [%%r3];
        """;
    assertThat(fault(Kind.RACE, 32, text.formatted("")))
        .hasMessageContaining("which was written by thread (1,0,0)");
    runs(32, text.formatted("bar.warp.sync -1;"));
    runs(32, text.formatted("shfl.sync.idx.b32 %r7, %r0, 0, 31, -1;"));
    // Eight lanes meet at a time: enough for a distance of 4, which 1 << 5 lanes away would not be.
    String groups = "mov.u32 %r7, 255; and.b32 %r8, %r0, 24; shl.b32 %r7, %r7, %r8;";
    runs(32, text.formatted(groups + " bar.warp.sync %r7;").replace("%r1, 4;", "%r1, 16;"));
    fault(
        Kind.RACE,
        32,
        text.formatted(groups + " bar.warp.sync %r7;").replace("%r1, 4;", "%r1, 32;"));
    // All write the same place in one instruction.
    fault(Kind.RACE, 32, "st.shared.u32 [s], %r0;");
  }

  @Test
  void readsOfAWarp_thenAWriteByOneOfThem() {
    runs(
        32,
        """
        setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [s], 5; bar.warp.sync -1;
        ld.shared.u32 %r3, [s]; bar.warp.sync -1;
        @!%p1 bra $rest; ld.shared.u32 %r4, [s]; st.shared.u32 [s], %r4;
        $rest:
        """);
  }

  @Test
  void atomics_doNotRaceWithEachOtherButWithReads() {
    String begin = "setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [s], 0; bar.sync 0;\n";
    runs(64, begin + "atom.shared.add.u32 %r3, [s], 1; bar.sync 0; ld.shared.u32 %r4, [s];");
    fault(Kind.RACE, 64, begin + "atom.shared.add.u32 %r3, [s], 1; ld.shared.u32 %r4, [s];");
  }

  @Test
  void uninitialisedShared_isFound() {
    assertThat(fault(Kind.UNINITIALISED_READ, 32, "ld.shared.u32 %r3, [s+128];"))
        .hasMessageContaining("0x80, where this block has written nothing");
    // What an earlier block left does not count.
    long data = device.ints(64, i -> i);
    String text =
        kernel(
            """
            mov.u32 %r5, %ctaid.x; setp.ne.u32 %p1, %r5, 0; @%p1 bra $second;
            st.shared.u32 [%r2], %r0; ret;
            $second: ld.shared.u32 %r6, [%r2];
            """);
    assertThat(
            device.fault(
                Kind.UNINITIALISED_READ, text, Launch.of(2, 32, 0, Device.parameters(data))))
        .hasMessageContaining("block (1,0,0)");
  }

  @Test
  void uninitialisedRegistersAndLocalMemory_areFound() {
    assertThat(fault(Kind.UNINITIALISED_READ, 32, "add.s32 %r4, %r3, 1;"))
        .hasMessageContaining("%r3");
    String branch =
        """
        setp.lt.u32 %%p1, %%r0, %d; @%%p1 mov.u32 %%r3, 1;
        add.s32 %%r4, %%r3, 1;
        """;
    runs(32, branch.formatted(32));
    assertThat(fault(Kind.UNINITIALISED_READ, 32, branch.formatted(20)))
        .hasMessageContaining("thread (20,0,0)");
    fault(Kind.UNINITIALISED_READ, 32, "@%p3 mov.u32 %r3, 1;");
    fault(Kind.UNINITIALISED_READ, 32, ".local .b8 l[8]; ld.local.u32 %r3, [l];");
    runs(32, "// implicit-def: %r3\nadd.s32 %r4, %r3, 1;");
  }

  @Test
  void divergentBarrier_isFound() {
    assertThat(fault(Kind.BARRIER_DIVERGENCE, 64, "setp.lt.u32 %p1, %r0, 40; @%p1 bar.sync 0;"))
        .hasMessageContaining("have left the kernel")
        .hasMessageContaining("bar.sync 0;");
    assertThat(
            fault(
                Kind.BARRIER_DIVERGENCE,
                64,
                """
                setp.lt.u32 %p1, %r0, 32; @%p1 bra $one;
                bar.sync 0;
                bra $end;
                $one: bar.sync 0;
                $end:
                """))
        .hasMessageContaining("wait at another barrier");
    fault(Kind.BARRIER_DIVERGENCE, 32, "setp.lt.u32 %p1, %r0, 40; bar.sync 0, 64;");
    runs(64, "setp.lt.u32 %p1, %r0, 32; @%p1 bra $end; bar.sync 1, 32; $end: bar.sync 0;");
  }

  @Test
  void producersAndConsumers_meetAtNamedBarriers() {
    runs(
        64,
        """
        setp.lt.u32 %p1, %r0, 32; @!%p1 bra $wait;
        st.shared.u32 [%r2], %r0; bar.arrive 1, 64; bra $end;
        $wait: bar.sync 1, 64; ld.shared.u32 %r5, [%r2+-128];
        $end:
        """);
  }

  @Test
  void wrongMask_isFound() {
    String half =
        """
        setp.lt.u32 %%p1, %%r0, 16; @!%%p1 bra $rest;
        shfl.sync.bfly.b32 %%r3, %%r0, 1, 31, %s;
        $rest:
        """;
    runs(32, half.formatted("0xffff"));
    assertThat(fault(Kind.WARP_DIVERGENCE, 32, half.formatted("0xffffffff")))
        .hasMessageContaining("0xffffffff");
    assertThat(fault(Kind.WARP_DIVERGENCE, 32, "shfl.sync.bfly.b32 %r3, %r0, 1, 31, 0xffff;"))
        .hasMessageContaining("thread (16,0,0)")
        .hasMessageContaining("not in its member mask");
    fault(Kind.WARP_DIVERGENCE, 32, "setp.eq.u32 %p1, %r0, 3; @%p1 ret; bar.warp.sync -1;");
    fault(
        Kind.WARP_DIVERGENCE,
        32,
        "vote.sync.ballot.b32 %r3, %p1, %r0;"
            .replace("%p1", "%p2")
            .replace("vote", "setp.eq.u32 %p2, %r0, 0; vote"));
    fault(
        Kind.WARP_DIVERGENCE,
        32,
        """
        setp.lt.u32 %p1, %r0, 16; @!%p1 bra $other;
        shfl.sync.bfly.b32 %r3, %r0, 1, 31, -1; bra $end;
        $other: shfl.sync.bfly.b32 %r3, %r0, 1, 31, -1;
        $end:
        """);
  }

  @Test
  void shuffleFromAnAbsentLane_isFound() {
    assertThat(fault(Kind.WARP_DIVERGENCE, 20, "shfl.sync.down.b32 %r3, %r0, 4, 31, 0xffffffff;"))
        .hasMessageContaining("takes the value of lane 20");
    runs(20, "shfl.sync.bfly.b32 %r3, %r0, 1, 31, 0xffffffff;");
    runs(20, "shfl.sync.bfly.b32 %r3, %r0, 1, 31, 0xfffff;");
  }

  @Test
  void asyncCopy_hasToBeAwaited() {
    String copy =
        """
        shl.b32 %%r3, %%r0, 4; mov.u32 %%r4, s; add.s32 %%r3, %%r3, %%r4; mul.wide.u32 %%d4, %%r0, 16;
        add.s64 %%d5, %%d0, %%d4;
        cp.async.cg.shared.global [%%r3], [%%d5], 16; cp.async.commit_group;
        %s
        ld.shared.u32 %%r5, [%%r3];
        """;
    runs(16, copy.formatted("cp.async.wait_group 0;"));
    runs(16, copy.formatted("cp.async.wait_all;"));
    assertThat(fault(Kind.ASYNC_COPY_NOT_AWAITED, 16, copy.formatted("")))
        .hasMessageContaining("cp.async of thread (0,0,0)");
    fault(Kind.ASYNC_COPY_NOT_AWAITED, 16, copy.formatted("cp.async.wait_group 1;"));
    fault(Kind.ASYNC_COPY_NOT_AWAITED, 16, copy.formatted("bar.sync 0;"));
    // Awaited by the one who copied, but the others do not know.
    String others = copy.replace("[%%r3];", "[s];");
    runs(16, others.formatted("cp.async.wait_group 0; bar.sync 0;"));
    fault(Kind.RACE, 16, others.formatted("cp.async.wait_group 0;"));
  }

  @Test
  void endlessLoops_areStopped() {
    long data = device.ints(64, i -> i);
    assertThat(
            device.fault(
                Kind.DEADLOCK,
                kernel("$again: bra $again;"),
                launch(32, data).with(Launch.Options.DEFAULT.withInstructionLimit(100_000))))
        .hasMessageContaining("$again: bra $again;");
  }

  @Test
  void trapAndBadOperands_areFound() {
    assertThat(fault(Kind.TRAP, 32, "setp.eq.u32 %p1, %r0, 9; @%p1 trap;"))
        .hasMessageContaining("thread (9,0,0)");
    fault(Kind.INVALID_OPERAND, 32, "bar.sync %r0;".replace("%r0", "17"));
    fault(Kind.INVALID_OPERAND, 32, "$t: .branchtargets $end; brx.idx %r0, $t; $end:");
  }

  private static final String BLOCKS =
      """
      mov.u32 %%r3, %%ctaid.x; setp.ne.u32 %%p1, %%r0, 0; @%%p1 ret;
      %s
      """;

  private Launch globalRaces(int blocks, long data) {
    return Launch.of(blocks, 32, 0, Device.parameters(data))
        .with(Launch.Options.DEFAULT.withRaces(true, true));
  }

  @Test
  void globalRaces_areFoundWhenAskedFor() {
    long data = device.ints(64, i -> 0);
    String racing = kernel(BLOCKS.formatted("st.global.u32 [%d0], %r3;"));
    device.run(racing, Launch.of(2, 32, 0, Device.parameters(data)));
    assertThat(device.fault(Kind.RACE, racing, globalRaces(2, data)))
        .hasMessageContaining("thread (0,0,0) of block (0,0,0)");
    device.run(racing, globalRaces(1, data));
    device.run(kernel(BLOCKS.formatted("red.global.add.u32 [%d0], %r3;")), globalRaces(4, data));
    device.fault(
        Kind.RACE,
        kernel(BLOCKS.formatted("ld.global.u32 %r4, [%d0]; st.global.u32 [%d0+4], %r4;")),
        globalRaces(2, data));
    device.run(kernel("ld.global.u32 %r4, [%d0];"), globalRaces(4, data));
  }

  @Test
  void globalRaces_withinABlockAreOrderedByBarriers() {
    long data = device.ints(64, i -> 0);
    String text =
        """
        st.global.u32 [%%d2], %%r0;
        %s
        xor.b32 %%r3, %%r0, 16; mul.wide.u32 %%d4, %%r3, 4; add.s64 %%d4, %%d0, %%d4;
        ld.global.u32 %%r4, [%%d4];
        """;
    device.run(kernel(text.formatted("bar.sync 0;")), globalRaces(1, data));
    device.run(kernel(text.formatted("bar.warp.sync -1;")), globalRaces(1, data));
    device.fault(Kind.RACE, kernel(text.formatted("")), globalRaces(1, data));
  }

  @Test
  void globalRaces_knowThePatternOfTheLastBlock() {
    long data = device.ints(64, i -> 0);
    String text =
        """
        mov.u32 %%r3, %%ctaid.x; setp.ne.u32 %%p1, %%r0, 0; @%%p1 ret;
        mul.wide.u32 %%d4, %%r3, 4; add.s64 %%d4, %%d0, %%d4; add.s32 %%r4, %%r3, 10;
        st.global.u32 [%%d4+4], %%r4;
        %s
        atom.global.add.u32 %%r5, [%%d0], 1; setp.ne.u32 %%p2, %%r5, 2; @%%p2 ret;
        ld.global.u32 %%r6, [%%d0+4]; ld.global.u32 %%r7, [%%d0+8]; ld.global.u32 %%r8, [%%d0+12];
        add.s32 %%r6, %%r6, %%r7; add.s32 %%r6, %%r6, %%r8; st.global.u32 [%%d0+64], %%r6;
        """;
    device.run(kernel(text.formatted("membar.gl;")), globalRaces(3, data));
    assertThat(device.ints(data, 64)[16]).isEqualTo(33);
    device.memory.at(data, 4, "test").fill((byte) 0);
    device.fault(Kind.RACE, kernel(text.formatted("")), globalRaces(3, data));
  }
}
