package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.simulated.memory.DeviceMemory;
import dev.heddle.simulated.memory.SimulatedFault.Kind;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LaunchTest {
  private static final String EMPTY = ".visible .entry k(.param .u64 p)%s { ret; }";

  private final Device device = new Device();

  @AfterEach
  void close() {
    device.close();
  }

  private static Launch launch(int x, int y, int z, int shared) {
    return new Launch(1, 1, 1, x, y, z, shared, Device.parameters(0L), Launch.Options.DEFAULT);
  }

  @Test
  void blocksThatNoGpuTakes_areRefused() {
    String text = EMPTY.formatted("");
    device.run(text, launch(1024, 1, 1, 0));
    device.fault(Kind.INVALID_LAUNCH, text, launch(1025, 1, 1, 0));
    device.fault(Kind.INVALID_LAUNCH, text, launch(0, 1, 1, 0));
    device.fault(Kind.INVALID_LAUNCH, text, launch(1, 1, 65, 0));
    device.fault(Kind.INVALID_LAUNCH, text, launch(1, 1, 1, 300_000));
    device.fault(
        Kind.INVALID_LAUNCH,
        text,
        new Launch(1, 65536, 1, 1, 1, 1, 0, Device.parameters(0L), Launch.Options.DEFAULT));
  }

  @Test
  void compiledLimits_areKept() {
    device.run(EMPTY.formatted(" .maxntid 64"), launch(64, 1, 1, 0));
    device.fault(Kind.INVALID_LAUNCH, EMPTY.formatted(" .maxntid 64"), launch(65, 1, 1, 0));
    device.run(EMPTY.formatted(" .reqntid 8, 2, 1"), launch(8, 2, 1, 0));
    device.fault(Kind.INVALID_LAUNCH, EMPTY.formatted(" .reqntid 8, 2"), launch(16, 1, 1, 0));
  }

  @Test
  void tooFewParameterBytes_areRefused() {
    Launch launch = Launch.of(1, 1, 0, Arena.ofAuto().allocate(4));
    assertThat(device.fault(Kind.INVALID_LAUNCH, EMPTY.formatted(""), launch))
        .hasMessageContaining("4 bytes of parameters; it takes 8");
  }

  @Test
  void dynamicSharedMemory_followsTheStaticOne() {
    long out = device.ints(8, i -> -1);
    String text =
        """
        .extern .shared .align 16 .b8 dynamic[];
        .visible .entry k(.param .u64 out) {
        .shared .align 4 .b8 fixed[4];
        .reg .b32 %r<8>; .reg .b64 %d<4>;
        ld.param.u64 %d1, [out]; mov.u32 %r1, dynamic; st.global.u32 [%d1], %r1;
        mov.u32 %r2, %dynamic_smem_size; st.global.u32 [%d1+4], %r2;
        mov.u32 %r3, %total_smem_size; st.global.u32 [%d1+8], %r3;
        st.shared.u32 [fixed], %r2; st.shared.u32 [%r1+28], %r2; ld.shared.u32 %r4, [dynamic+28]; st.global.u32 [%d1+12], %r4;
        ret; }
        """;
    Launch launch = Launch.of(1, 1, 32, Device.parameters(out));
    device.run(text, launch);
    assertThat(device.ints(out, 8)).startsWith(16, 32, 48, 32);
    device.fault(Kind.ILLEGAL_ADDRESS, text, Launch.of(1, 1, 28, Device.parameters(out)));
  }

  @Test
  void report_countsInstructions() {
    LaunchReport report = device.run(EMPTY.formatted(""), launch(48, 1, 1, 0));
    assertThat(report).isEqualTo(new LaunchReport(1, 2, 48, 0, 0));
  }

  @Test
  void report_countsEachByteOfDeviceMemoryOnce() {
    long values = device.ints(64, i -> i);
    // Every thread reads its number, the first one, and the last byte of that; writes a half of its
    // own; and adds to the last one.
    String text =
        """
        .visible .entry k(.param .u64 out) {
        .shared .align 4 .b8 fixed[4];
        .reg .b32 %r<8>; .reg .b64 %d<8>;
        ld.param.u64 %d1, [out]; mov.u32 %r1, %tid.x; mul.wide.u32 %d2, %r1, 4; add.s64 %d3, %d1, %d2;
        ld.global.u32 %r2, [%d3]; ld.global.u32 %r3, [%d1]; ld.global.u8 %r4, [%d1+3];
        st.shared.u32 [fixed], %r2; st.global.u16 [%d3], %r2;
        atom.global.add.u32 %r5, [%d1+252], 1;
        ret; }
        """;
    Launch launch = Launch.of(2, 16, 0, Device.parameters(values));
    Launch counted = launch.with(Launch.Options.DEFAULT.withRaces(false, false).withTraffic(true));
    LaunchReport report = device.run(text, counted);
    assertThat(report.bytesRead()).isEqualTo(16 * 4 + 4);
    assertThat(report.bytesWritten()).isEqualTo(16 * 2 + 4);
    assertThat(device.ints(values, 64)[63]).isEqualTo(63 + 32);
    LaunchReport notCounted =
        device.run(text, launch.with(Launch.Options.DEFAULT.withRaces(false, false)));
    assertThat(notCounted.bytesRead()).isZero();
    assertThat(notCounted.bytesWritten()).isZero();
  }

  @Test
  void otherDevices_areReachedOnlyIfNamed() {
    try (DeviceMemory peer = new DeviceMemory(1, 1 << 20)) {
      long there = peer.allocate(4);
      String text =
          """
          .visible .entry k(.param .u64 out) { .reg .b64 %d<2>;
          ld.param.u64 %d1, [out]; st.global.u32 [%d1], 7; ret; }
          """;
      Launch launch = Launch.of(1, 1, 0, Device.parameters(there));
      assertThat(device.fault(Kind.ILLEGAL_ADDRESS, text, launch))
          .hasMessageContaining("an address of device 1, which this one has no access to");
      device.simulator.launch(
          Device.module(text).kernels().getFirst(), GlobalMemory.of(device.memory, peer), launch);
      assertThat(peer.at(there, 4, "test").get(ValueLayout.JAVA_INT_UNALIGNED, 0)).isEqualTo(7);
    }
  }

  @Test
  void sameSeed_doesTheSameAgain() {
    // Every thread takes a number: which one depends on the order.
    String text =
        """
        .visible .entry k(.param .u64 out) { .reg .b32 %r<4>; .reg .b64 %d<6>;
        ld.param.u64 %d1, [out]; atom.global.add.u32 %r1, [%d1], 1;
        mov.u32 %r2, %tid.x; mov.u32 %r3, %ctaid.x; mad.lo.s32 %r2, %r3, 128, %r2;
        mul.wide.u32 %d2, %r2, 4; add.s64 %d2, %d2, %d1; st.global.u32 [%d2+4], %r1; ret; }
        """;
    int[][] results = new int[4][];
    for (int i = 0; i < 4; i++) {
      long out = device.ints(513, j -> 0);
      Launch.Options options =
          i == 3
              ? Launch.Options.DEFAULT
              : Launch.Options.DEFAULT.withOrder(Launch.Order.RANDOM, i < 2 ? 5 : 6);
      device.run(text, Launch.of(4, 128, 0, Device.parameters(out)).with(options));
      results[i] = device.ints(out, 513);
    }
    assertThat(results[0]).isEqualTo(results[1]).isNotEqualTo(results[2]);
    assertThat(results[3]).isNotEqualTo(results[0]).isNotEqualTo(results[2]);
  }
}
