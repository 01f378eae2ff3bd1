package dev.heddle.simulated.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaDeviceProperties;
import dev.heddle.runtime.cuda.CudaException;
import dev.heddle.runtime.memory.MemoryScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PeerAccessTest {
  private static void copy(CudaDevice from, NDArray x, CudaDevice to, NDArray y) {
    to.copyFromPeer(from, x.block(), x.byteOffset(), y.block(), y.byteOffset(), 4 * x.size());
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void copies_areOrderedWithBothDevicesWork(boolean pools) {
    SimulatedOptions options = SimulatedOptions.lazily().withMemoryPools(pools);
    try (SimulatedGpus gpus = SimulatedGpus.install(2, options);
        CudaDevice zero = CudaDevice.open(0);
        CudaDevice one = CudaDevice.open(1);
        MemoryScope scope = MemoryScope.open()) {
      assertThat(one.enableAccessTo(zero)).isTrue();
      assertThat(one.enableAccessTo(zero)).as("again").isTrue();
      NDArray x = NDArray.of(zero, Shape.of(2), 1f, 2f);
      NDArray y = NDArray.of(one, Shape.of(2), 0f, 0f);
      copy(zero, x, one, y);
      x.writeDoubles(5, 6);
      zero.synchronize();
      assertThat(y.toFloats()).as("read before it was overwritten").containsExactly(1, 2);
      assertThat(gpus.counters().bytesBetweenDevices()).isEqualTo(8);
      assertThat(gpus.counters().stagedPeerBytes()).isZero();
    }
  }

  @Test
  void copyWithoutAccess_isRefused_orGoesThroughTheHost() {
    SimulatedOptions options = SimulatedOptions.lazily();
    try (SimulatedGpus gpus = SimulatedGpus.install(2, options);
        CudaDevice zero = CudaDevice.open(0);
        CudaDevice one = CudaDevice.open(1);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(zero, Shape.of(1), 1f);
      NDArray y = NDArray.empty(one, DType.F32, 1);
      assertThatThrownBy(() -> copy(zero, x, one, y))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("cuMemcpyPeerAsync(device=1")
          .hasMessageContaining("CUDA_ERROR_PEER_ACCESS_NOT_ENABLED");
    }
    try (SimulatedGpus gpus = SimulatedGpus.install(2, options.withStagedPeerCopies(true));
        CudaDevice zero = CudaDevice.open(0);
        CudaDevice one = CudaDevice.open(1);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(zero, Shape.of(1), 1f);
      NDArray y = NDArray.empty(one, DType.F32, 1);
      copy(zero, x, one, y);
      assertThat(y.item()).isEqualTo(1);
      assertThat(gpus.counters().stagedPeerBytes()).isEqualTo(4);
    }
  }

  @Test
  void gpusThatCannot_sayNo() {
    SimulatedOptions options = SimulatedOptions.lazily().withPeerAccess(false);
    try (SimulatedGpus gpus = SimulatedGpus.install(2, options);
        CudaDevice zero = CudaDevice.open(0);
        CudaDevice one = CudaDevice.open(1)) {
      assertThat(CudaDeviceProperties.canAccess(0, 1)).isFalse();
      assertThat(zero.enableAccessTo(one)).isFalse();
      assertThat(gpus.complaints()).isEmpty();
    }
  }

  @Test
  void touchingAPeersMemoryWithoutAccess_isAFault() {
    try (SimulatedGpus gpus = SimulatedGpus.install(2, SimulatedOptions.lazily());
        CudaDevice zero = CudaDevice.open(0);
        CudaDevice one = CudaDevice.open(1)) {
      try (MemoryScope scope = MemoryScope.open()) {
        NDArray x = NDArray.of(zero, Shape.of(1), 1f);
        zero.synchronize();
        one.stream().fill32(x.address(), 0, 1);
        assertThatThrownBy(one::synchronize)
            .hasMessageContaining("fill of 4 bytes at 0x7")
            .hasMessageContaining(
                "memory of simulated GPU 0, to which simulated GPU 1 has no access");
      }
    }
  }
}
