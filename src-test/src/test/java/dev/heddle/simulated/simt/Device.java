package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.heddle.simulated.memory.DeviceMemory;
import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.ptx.PtxModule;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.IntToDoubleFunction;
import java.util.function.IntUnaryOperator;

/** A simulated GPU with 256 MiB, and what tests do with it. */
final class Device implements AutoCloseable {
  private static final int PARAMETER_BYTES = 4096;

  final DeviceMemory memory = new DeviceMemory(0, 256L << 20);
  final GlobalMemory global = GlobalMemory.of(memory);
  final Simulator simulator = new Simulator();

  /** A module with this text behind the usual header. */
  static PtxModule module(String text) {
    return Simulator.load(
        "test", ".version 8.0\n.target sm_80\n.address_size 64\n" + text.stripLeading());
  }

  long floats(int count, IntToDoubleFunction value) {
    long address = memory.allocate(4L * count);
    MemorySegment bytes = memory.at(address, 4L * count, "test");
    for (int i = 0; i < count; i++) {
      bytes.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i, (float) value.applyAsDouble(i));
    }
    return address;
  }

  long ints(int count, IntUnaryOperator value) {
    long address = memory.allocate(4L * count);
    MemorySegment bytes = memory.at(address, 4L * count, "test");
    for (int i = 0; i < count; i++) {
      bytes.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, i, value.applyAsInt(i));
    }
    return address;
  }

  long longs(long... values) {
    long address = memory.allocate(8L * values.length);
    MemorySegment bytes = memory.at(address, 8L * values.length, "test");
    MemorySegment.copy(MemorySegment.ofArray(values), 0, bytes, 0, 8L * values.length);
    return address;
  }

  float[] floats(long address, int count) {
    return memory.at(address, 4L * count, "test").toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  int[] ints(long address, int count) {
    return memory.at(address, 4L * count, "test").toArray(ValueLayout.JAVA_INT_UNALIGNED);
  }

  short[] shorts(long address, int count) {
    return memory.at(address, 2L * count, "test").toArray(ValueLayout.JAVA_SHORT_UNALIGNED);
  }

  long[] longs(long address, int count) {
    return memory.at(address, 8L * count, "test").toArray(ValueLayout.JAVA_LONG_UNALIGNED);
  }

  /** Parameters as a C compiler lays them out: each aligned to its size. */
  static MemorySegment parameters(Object... values) {
    ByteBuffer bytes = ByteBuffer.allocate(PARAMETER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (Object value : values) {
      if (value instanceof Long || value instanceof Double) {
        bytes.position((bytes.position() + 7) / 8 * 8);
      }
      switch (value) {
        case Long number -> bytes.putLong(number);
        case Integer number -> bytes.putInt(number);
        case Float number -> bytes.putFloat(number);
        case Double number -> bytes.putDouble(number);
        default -> throw new IllegalArgumentException(value.toString());
      }
    }
    MemorySegment segment = Arena.ofAuto().allocate(PARAMETER_BYTES, 16);
    MemorySegment.copy(MemorySegment.ofArray(bytes.array()), 0, segment, 0, PARAMETER_BYTES);
    return segment;
  }

  LaunchReport run(PtxModule module, String kernel, Launch launch) {
    return simulator.launch(module.kernel(kernel), global, launch);
  }

  /** Runs the module's only kernel. */
  LaunchReport run(String text, int blocks, int threads, Object... parameters) {
    return run(text, Launch.of(blocks, threads, 0, parameters(parameters)));
  }

  LaunchReport run(String text, Launch launch) {
    return simulator.launch(module(text).kernels().getFirst(), global, launch);
  }

  /** Runs the module's only kernel, which must be stopped for this reason. */
  SimulatedFault fault(SimulatedFault.Kind kind, String text, Launch launch) {
    Throwable thrown = catchThrowable(() -> run(text, launch));
    assertThat(thrown).isInstanceOf(SimulatedFault.class);
    assertThat(((SimulatedFault) thrown).kind()).as(thrown.getMessage()).isEqualTo(kind);
    return (SimulatedFault) thrown;
  }

  @Override
  public void close() {
    memory.close();
  }
}
