package dev.heddle.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class NDArrayTest {
  private CpuDevice device;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    device = CpuDevice.open("cpu:3", 1, CpuBackend.REFERENCE);
    scope = MemoryScope.open();
  }

  @AfterEach
  void close() {
    scope.close();
    device.close();
  }

  @Test
  void of_valuesOfEveryType_areReadBack() {
    assertThat(NDArray.of(device, Shape.of(2), 1.5f, -2f).dtype()).isEqualTo(DType.F32);
    assertThat(NDArray.of(device, Shape.of(2), 1.5f, -2f).toFloats()).containsExactly(1.5f, -2f);
    assertThat(NDArray.of(device, Shape.of(2), 7, -8).dtype()).isEqualTo(DType.I32);
    assertThat(NDArray.of(device, Shape.of(2), 7, -8).toLongs()).containsExactly(7, -8);
    NDArray longs = NDArray.of(device, Shape.of(1, 2), Long.MAX_VALUE, Long.MIN_VALUE + 1);
    assertThat(longs.toLongs()).containsExactly(Long.MAX_VALUE, Long.MIN_VALUE + 1);
    for (DType type : DType.values()) {
      NDArray array = NDArray.of(device, type, Shape.of(2, 2), 1, 2, 3, 200);
      assertThat(array.toDoubles()).as("%s", type).containsExactly(1, 2, 3, 200);
      assertThat(NDArray.zeros(device, type, 2).toDoubles()).containsExactly(0, 0);
      assertThat(NDArray.full(device, type, Shape.of(2), 3).toDoubles()).containsExactly(3, 3);
    }
  }

  @Test
  void of_wrongCount_isRefused() {
    assertThatThrownBy(() -> NDArray.of(device, DType.F32, Shape.of(2, 2), 1, 2, 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("NDArray.of: shape [2,2] has 4 elements, got 3");
    assertThatThrownBy(() -> NDArray.of(device, Shape.of(2), 1L))
        .hasMessage("NDArray.of: shape [2] has 2 elements, got 1");
  }

  @Test
  void item_oneElement_isItsValue() {
    NDArray x = NDArray.of(device, DType.F64, Shape.of(2, 2), 1, 2, 3, 4);
    assertThat(x.slice(0, 1, 2).slice(1, 0, 1).item()).isEqualTo(3);
    assertThat(NDArray.full(device, DType.F32, Shape.of(), 5).item()).isEqualTo(5);
    assertThatThrownBy(x::item)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("NDArray.item: wanted one element, got shape [2,2]; use toDoubles()");
  }

  @Test
  void toLongs_ofFloats_isRefused() {
    assertThatThrownBy(() -> NDArray.zeros(device, DType.BF16, 1).toLongs())
        .hasMessage("NDArray.toLongs: the array is BF16");
  }

  @Test
  void bytes_writtenAndRead_arePackedRowMajor() {
    NDArray x = NDArray.zeros(device, DType.F32, 2, 2);
    x.writeBytes(MemorySegment.ofArray(new float[] {1, 2, 3, 4}));
    MemorySegment bytes = MemorySegment.ofArray(new float[4]);
    x.transpose(0, 1).readBytes(bytes);
    assertThat(bytes.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(1, 3, 2, 4);
    // A contiguous part of a larger array is written in place.
    x.slice(0, 1, 2).writeBytes(MemorySegment.ofArray(new float[] {8, 9}));
    assertThat(x.toDoubles()).containsExactly(1, 2, 8, 9);
    x.slice(0, 0, 1).writeDoubles(-1, -2);
    assertThat(x.toDoubles()).containsExactly(-1, -2, 8, 9);
  }

  @Test
  void bytes_wrongSizeOrStrided_areRefused() {
    NDArray x = NDArray.zeros(device, DType.F32, 2, 3);
    assertThatThrownBy(() -> x.writeBytes(MemorySegment.ofArray(new float[5])))
        .hasMessage(
            "NDArray.writeBytes: wanted 24 bytes into a contiguous array, got 20 bytes into"
                + " F32[2,3] on cpu:3");
    assertThatThrownBy(() -> x.transpose(0, 1).writeBytes(MemorySegment.ofArray(new float[6])))
        .hasMessage(
            "NDArray.writeBytes: wanted 24 bytes into a contiguous array, got 24 bytes into"
                + " F32[3,2] strided on cpu:3");
    assertThatThrownBy(() -> x.readBytes(MemorySegment.ofArray(new float[7])))
        .hasMessage("NDArray.readBytes: wanted room for 24 bytes, got 28");
    assertThatThrownBy(() -> x.writeDoubles(1, 2))
        .hasMessage("NDArray.of: shape [2,3] has 6 elements, got 2");
  }

  @Test
  void reading_aStridedView_leavesNothingBehind() {
    NDArray x = NDArray.zeros(device, DType.F32, 100, 100);
    long live = device.memory().liveBytes();
    x.transpose(0, 1).toDoubles();
    x.slice(1, 3, 7).toFloats();
    x.slice(1, 3, 7).readBytes(MemorySegment.ofArray(new float[400]));
    assertThat(device.memory().liveBytes()).isEqualTo(live);
  }

  @Test
  void use_afterTheScopeClosed_saysWhatToDo() {
    NDArray outlived;
    NDArray view;
    try (MemoryScope inner = MemoryScope.open()) {
      outlived = NDArray.zeros(device, DType.F32, 2, 3);
      view = outlived.transpose(0, 1);
    }
    // The next array gets the same memory; the old handles must not reach it.
    NDArray next = NDArray.full(device, DType.F32, Shape.of(2, 3), 7);
    assertThat(outlived.isLive()).isFalse();
    String message =
        "is used after its memory was given back: its MemoryScope is closed, or backward()"
            + " consumed it; hand it on with scope.keep(array) or pass retainGraph";
    assertThatThrownBy(outlived::toDoubles)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("NDArray F32[2,3] " + message);
    assertThatThrownBy(view::toDoubles).hasMessage("NDArray F32[3,2] " + message);
    assertThatThrownBy(() -> outlived.slice(0, 0, 1)).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(outlived::segment).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(outlived::address).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(outlived::retain).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(outlived::free).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> outlived.writeDoubles(1, 2, 3, 4, 5, 6))
        .isInstanceOf(IllegalStateException.class);
    assertThat(next.toDoubles()).containsOnly(7);
  }

  @Test
  void free_beforeTheScopeCloses_returnsTheMemory() {
    long live = device.memory().liveBytes();
    NDArray x = NDArray.zeros(device, DType.F32, 64);
    x.free();
    assertThat(x.isLive()).isFalse();
    assertThat(device.memory().liveBytes()).isEqualTo(live);
  }

  @Test
  void retain_keepsTheMemoryBeyondItsScope() {
    NDArray x;
    try (MemoryScope inner = MemoryScope.open()) {
      x = NDArray.full(device, DType.F32, Shape.of(2), 4).retain();
    }
    assertThat(x.toDoubles()).containsExactly(4, 4);
    x.release();
    assertThat(x.isLive()).isFalse();
  }

  @Test
  void empty_size0_worksEverywhere() {
    NDArray x = NDArray.zeros(device, DType.F32, 3, 0);
    assertThat(x.toDoubles()).isEmpty();
    assertThat(x.transpose(0, 1).isContiguous()).isTrue();
    assertThat(x.slice(0, 3, 3).copy().shape()).isEqualTo(Shape.of(0, 0));
    x.writeDoubles();
    x.readBytes(MemorySegment.ofArray(new float[0]));
    assertThat(x.expand(Shape.of(2, 3, 0)).copy().size()).isZero();
  }

  @Test
  void toString_says_whatItIs() {
    NDArray x = NDArray.zeros(device, DType.BF16, 2, 3);
    assertThat(x).hasToString("BF16[2,3] on cpu:3");
    assertThat(x.transpose(0, 1)).hasToString("BF16[3,2] strided on cpu:3");
  }
}
