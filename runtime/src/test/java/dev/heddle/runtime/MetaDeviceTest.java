package dev.heddle.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.memory.MemoryScope;
import org.junit.jupiter.api.Test;

class MetaDeviceTest {
  @Test
  void arrays_largerThanAnyMachine_areOnlyCounted() {
    try (MetaDevice device = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      NDArray weight = NDArray.empty(device, DType.BF16, 1 << 17, 1 << 20);
      NDArray x = NDArray.zeros(device, DType.BF16, 8, 1 << 20);
      NDArray y = NDArray.empty(device, DType.BF16, 8, 1 << 17);
      y.kernels().linear(x, weight, null, UnaryOperation.IDENTITY, y, null);
      assertThat(device.memory().liveBytes()).isGreaterThanOrEqualTo(1L << 38);
      assertThat(y.transpose(0, 1).contiguous().shape()).isEqualTo(Shape.of(1 << 17, 8));
      assertThat(weight.reshape(-1).size()).isEqualTo(1L << 37);
    }
  }

  @Test
  void kernels_refuseMisuseAsOthersDo() {
    try (MetaDevice device = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      NDArray a = NDArray.zeros(device, DType.F32, 4, 6);
      NDArray b = NDArray.zeros(device, DType.F32, 5, 3);
      NDArray c = NDArray.zeros(device, DType.F32, 4, 3);
      assertThatThrownBy(() -> c.kernels().gemm(a, false, b, false, 1, 0, c))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("gemm: op(a) is [4,6] and op(b) is [5,3]: inner sizes 6 and 5 must be equal");
    }
  }

  @Test
  void kernels_twoDevices_areNotMixed() {
    try (MetaDevice device = MetaDevice.open();
        MetaDevice other = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.zeros(device, DType.F32, 4);
      NDArray y = NDArray.zeros(other, DType.F32, 4);
      assertThatThrownBy(() -> x.kernels().unary(UnaryOperation.EXP, x, y))
          .hasMessage("unary: y is on meta and x on meta: they must be on the same device");
    }
  }

  @Test
  void values_areDroppedWhenWrittenAndRefusedWhenRead() {
    try (MetaDevice device = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, DType.F32, Shape.of(2), 1, 2);
      x.writeDoubles(3, 4);
      assertThat(device.hasBytes()).isFalse();
      assertThatThrownBy(x::toDoubles)
          .isInstanceOf(UnsupportedOperationException.class)
          .hasMessage("NDArray.toDoubles: device meta knows shapes only, no values");
      assertThatThrownBy(() -> x.slice(0, 0, 1).item())
          .isInstanceOf(UnsupportedOperationException.class);
      assertThatThrownBy(() -> device.copyToHost(x.block(), 0, x.segment()))
          .hasMessage("MetaDevice: there are no values to read");
      device.synchronize();
    }
  }

  @Test
  void close_withArraysInUse_namesThem() {
    MetaDevice device = MetaDevice.open();
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray.zeros(device, DType.F32, 4);
      assertThatThrownBy(device::close)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("close_withArraysInUse_namesThem");
    }
  }
}
