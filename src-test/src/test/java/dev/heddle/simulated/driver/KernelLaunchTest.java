package dev.heddle.simulated.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaException;
import dev.heddle.runtime.cuda.CudaFunction;
import dev.heddle.runtime.cuda.CudaGraph;
import dev.heddle.runtime.cuda.CudaModule;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Modules and launches with the small kernels of probe.cu, interpreted. */
class KernelLaunchTest {
  private SimulatedGpus gpus;
  private CudaDevice device;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    install(1, SimulatedOptions.lazily());
  }

  private void install(int count, SimulatedOptions options) {
    gpus = SimulatedGpus.install(count, options);
    device = CudaDevice.open(0);
    scope = MemoryScope.open();
  }

  @AfterEach
  void close() {
    try (SimulatedGpus ends = gpus;
        CudaDevice endsFirst = device) {
      scope.close();
    }
  }

  private CudaFunction function(String name) {
    return device.module("probe", Probe.ptx()).function(name);
  }

  private void scale(NDArray x, long count, float alpha) {
    int blocks = (int) ((count + 63) / 64);
    function("scale")
        .launch(
            device.stream(),
            blocks,
            1,
            1,
            64,
            1,
            1,
            0,
            device.arguments().pointer(x).int64(count).float32(alpha));
  }

  private void add(NDArray x, NDArray y) {
    function("add")
        .launch(
            device.stream(),
            1,
            1,
            1,
            (int) x.size(),
            1,
            1,
            0,
            device.arguments().pointer(x).pointer(y).int32((int) x.size()));
  }

  private void reverse(NDArray x, NDArray y, int sharedBytes) {
    int n = (int) x.size();
    function("reverse")
        .launch(
            device.stream(),
            1,
            1,
            1,
            n,
            1,
            1,
            sharedBytes,
            device.arguments().pointer(x).pointer(y).int32(n));
  }

  private NDArray array(int count, float value) {
    float[] values = new float[count];
    java.util.Arrays.fill(values, value);
    return NDArray.of(device, Shape.of(count), values);
  }

  // ---- launches

  @Test
  void argumentsOfAllKinds_arrive() {
    NDArray y = NDArray.empty(device, DType.F64, 5);
    function("arguments")
        .launch(
            device.stream(),
            1,
            1,
            1,
            1,
            1,
            1,
            0,
            device
                .arguments()
                .int32(-7)
                .int64(1L << 40)
                .float32(0.5f)
                .float64(Math.PI)
                .int64s(new long[] {6, 7, 8, 9}, 3)
                .pointer(y));
    assertThat(y.toDoubles()).containsExactly(-7, 1L << 40, 0.5, Math.PI, 50);
  }

  @Test
  void argumentsAreTakenWhenTheLaunchIsQueued() {
    NDArray x = array(100, 1);
    scale(x, 100, 3);
    scale(x, 50, 5);
    assertThat(gpus.counters().totalLaunches()).as("run, not only queued").isZero();
    float[] values = x.toFloats();
    assertThat(values[0]).isEqualTo(15);
    assertThat(values[99]).isEqualTo(3);
    assertThat(gpus.counters().launches()).isEqualTo(Map.of("scale", 2L));
    assertThat(device.counters().launches()).isEqualTo(2);
  }

  @Test
  void launchOfNothing_isNone() {
    NDArray x = array(1, 1);
    scale(x, 0, 3);
    assertThat(x.item()).isEqualTo(1);
    assertThat(device.counters().launches()).isZero();
  }

  @Test
  void dynamicSharedMemory_isWhatTheLaunchAskedFor() {
    NDArray x = NDArray.of(device, Shape.of(4), 1f, 2f, 3f, 4f);
    NDArray y = NDArray.empty(device, DType.F32, 4);
    reverse(x, y, 16);
    assertThat(y.toFloats()).containsExactly(4, 3, 2, 1);
  }

  @Test
  void tooLittleSharedMemory_isAFault() {
    NDArray x = NDArray.of(device, Shape.of(4), 1f, 2f, 3f, 4f);
    reverse(x, NDArray.empty(device, DType.F32, 4), 12);
    assertThatThrownBy(device::synchronize)
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("kernel reverse<<<1x1x1, 4x1x1, 12>>>");
  }

  @Test
  void muchSharedMemory_mustBeAllowedFirst() {
    NDArray x = array(4, 2);
    NDArray y = NDArray.empty(device, DType.F32, 4);
    assertThatThrownBy(() -> reverse(x, y, 60 * 1024))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("cuLaunchKernel(kernel=reverse, grid=1x1x1, block=4x1x1")
        .hasMessageContaining("sharedBytes=61440, arguments=3): CUDA_ERROR_INVALID_VALUE");
    CudaModule module = CudaModule.load(device.context(), "another", Probe.ptx());
    CudaFunction reverse = module.function("reverse");
    assertThatThrownBy(() -> reverse.allowSharedBytes(1 << 20))
        .hasMessageContaining("cuFuncSetAttribute(kernel=reverse, sharedBytes=1048576)");
    reverse.allowSharedBytes(60 * 1024);
    reverse.launch(
        device.stream(),
        1,
        1,
        1,
        4,
        1,
        1,
        60 * 1024,
        device.arguments().pointer(x).pointer(y).int32(4));
    assertThat(y.toFloats()).containsOnly(2);
    module.close();
  }

  @Test
  void sizesThatNoGpuTakes_areRefused() {
    NDArray x = array(2000, 1);
    assertThatThrownBy(() -> add(x, x))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("block=2000x1x1");
    assertThat(gpus.complaints()).last().asString().contains("at most 1024 threads a block");
  }

  @Test
  void accessOutsideAnAllocation_losesTheContext() {
    NDArray x = array(16, 1);
    scale(x, 17, 2);
    assertThatThrownBy(x::toFloats)
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS (700)")
        .hasMessageContaining("kernel scale<<<1x1x1, 64x1x1, 0>>> on simulated GPU 0")
        .hasMessageContaining("context is lost");
    assertThatThrownBy(() -> scale(x, 1, 2)).hasMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS");
    assertThatThrownBy(() -> NDArray.empty(device, DType.F32, 1 << 20))
        .hasMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS");
    // close() gives what it can back and does not repeat the error.
  }

  // ---- graphs

  private void step(NDArray x, NDArray y) {
    try (MemoryScope temporaries = MemoryScope.open()) {
      NDArray doubled = NDArray.empty(device, DType.F32, x.shape());
      device.stream().copy(doubled.address(), x.address(), 4 * x.size());
      scale(doubled, x.size(), 2);
      add(doubled, y);
    }
  }

  @Test
  void graphOfKernels_doesTheSameAsTheKernels() {
    NDArray x = NDArray.of(device, Shape.of(3), 1f, 2f, 3f);
    NDArray eager = array(3, 0.5f);
    NDArray recorded = array(3, 0.5f);
    step(x, eager);
    step(x, eager);
    step(x, array(3, 0));
    try (CudaGraph graph = device.capture(() -> step(x, recorded))) {
      graph.launch();
      graph.launch();
      assertThat(recorded.toFloats())
          .isEqualTo(eager.toFloats())
          .containsExactly(4.5f, 8.5f, 12.5f);
      assertThat(gpus.counters().launches()).isEqualTo(Map.of("scale", 5L, "add", 5L));
      NDArray other = array(3, 0);
      assertThat(graph.update(() -> step(x, other))).isTrue();
      graph.launch();
      assertThat(other.toFloats()).containsExactly(2, 4, 6);
    }
  }

  // ---- modules

  @Test
  void ptxThatIsNone_isRefusedWithTheCompilersLog() {
    String broken = Probe.ptx().replace("mul.f32", "mull.f32");
    assertThatThrownBy(() -> device.module("broken", broken))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("cuModuleLoadDataEx(module=broken, device=0)")
        .hasMessageContaining("CUDA_ERROR_INVALID_PTX (218)")
        .hasMessageContaining("Log of the driver's compiler:\nsimulated ptxas:")
        .hasMessageContaining("mull.f32");
    assertThat(function("scale").name()).as("not a sticky error").isEqualTo("scale");
  }

  @Test
  void ptxForNewerGpus_isRefused() {
    close();
    install(1, SimulatedOptions.lazily().withComputeCapability(75));
    String newer = Probe.ptx().replace(".target sm_75", ".target sm_80");
    assertThatThrownBy(() -> device.module("newer", newer))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("CUDA_ERROR_NO_BINARY_FOR_GPU")
        .hasMessageContaining("compute capability 7.5 is the oldest");
  }

  @Test
  void kernelThatTheModuleHasNot_isNamed() {
    assertThatThrownBy(() -> function("scal"))
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("cuModuleGetFunction(module=probe, function=scal)")
        .hasMessageContaining("CUDA_ERROR_NOT_FOUND");
  }

  @Test
  void moduleIsLoadedOnce() {
    assertThat(device.module("probe", Probe.ptx())).isSameAs(device.module("probe", "other"));
  }

  @Test
  void moduleUnloadedBeforeItsKernelRan_isAFault() {
    NDArray x = array(4, 1);
    CudaModule module = CudaModule.load(device.context(), "short", Probe.ptx());
    module
        .function("scale")
        .launch(
            device.stream(),
            1,
            1,
            1,
            4,
            1,
            1,
            0,
            device.arguments().pointer(x).int64(4).float32(2));
    module.close();
    assertThatThrownBy(x::toFloats).hasMessageContaining("its module was unloaded before it ran");
  }

  // ---- several GPUs

  @Test
  void kernelOfOneGpu_onAStreamOfAnother_isRefused_andReachesItsMemoryOnlyWithAccess() {
    close();
    install(2, SimulatedOptions.lazily());
    try (CudaDevice other = CudaDevice.open(1)) {
      NDArray here = array(4, 1);
      NDArray there = NDArray.of(other, Shape.of(4), 1f, 2f, 3f, 4f);
      other.synchronize();
      assertThatThrownBy(
              () ->
                  function("scale")
                      .launch(
                          other.stream(),
                          1,
                          1,
                          1,
                          4,
                          1,
                          1,
                          0,
                          device.arguments().pointer(here).int64(4).float32(2)))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("CUDA_ERROR_INVALID_HANDLE");
      assertThat(device.enableAccessTo(other)).isTrue();
      add(there, here);
      assertThat(here.toFloats()).containsExactly(2, 3, 4, 5);
      there.free();
    }
  }
}
