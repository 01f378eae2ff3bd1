package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Against NVIDIA's cuBLAS itself, where {@link RealLibraries} are given; no GPU is needed. */
class RealCublasTest extends CublasDescriptorContract {
  private static SymbolLookup library;

  @BeforeAll
  static void open() {
    library = RealLibraries.cublas();
  }

  @Override
  SymbolLookup symbols() {
    return library;
  }

  /** In the header of 12.4, and exported by no library that was met. */
  private static final List<String> NEVER_EXPORTED =
      List.of("cublasLtDisableCpuInstructionsSetMask");

  @Test
  void everySymbolThatIsBound_resolves() {
    List<String> missing = new ArrayList<>();
    int bound = 0;
    for (Method method : Cublas.class.getMethods()) {
      String name = method.getName();
      if (name.endsWith("$descriptor")) {
        bound++;
        String symbol = name.substring(0, name.indexOf('$'));
        if (library.find(symbol).isEmpty()) {
          missing.add(symbol);
        }
      }
    }
    assertThat(bound).isGreaterThanOrEqualTo(60);
    assertThat(missing).isSubsetOf(NEVER_EXPORTED);
    for (CublasFunction function : CublasFunction.values()) {
      assertThat(library.find(function.symbol())).as(function.symbol()).isPresent();
    }
  }

  @Test
  void versions_agree() throws Throwable {
    MethodHandle ofLt =
        Linker.nativeLinker()
            .downcallHandle(
                library.find("cublasLtGetVersion").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_LONG));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment version = arena.allocate(ValueLayout.JAVA_INT);
      assertThat((int) CublasFunction.GET_VERSION.in(library).invokeExact(0L, version.address()))
          .isZero();
      assertThat((long) version.get(ValueLayout.JAVA_INT, 0)).isEqualTo((long) ofLt.invokeExact());
    }
  }

  @Test
  void statuses_haveTheNamesThatMessagesUse() throws Throwable {
    MethodHandle nameOf =
        Linker.nativeLinker()
            .downcallHandle(
                library.find("cublasGetStatusName").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
    for (int status = 1; status <= 16; status++) {
      MemorySegment name = (MemorySegment) nameOf.invokeExact(status);
      String real = name.reinterpret(100).getString(0);
      if (real.startsWith("CUBLAS_STATUS_")) {
        assertThat(CublasStatus.nameOf(status)).isEqualTo(real);
      } else {
        assertThat(CublasStatus.nameOf(status)).isEqualTo("CUBLAS_STATUS " + status);
      }
    }
  }

  @Test
  void handle_withoutAGpu_isRefusedWithWhatToDo() throws Throwable {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(ValueLayout.JAVA_LONG);
      int status = (int) CublasFunction.CREATE.in(library).invokeExact(result.address());
      if (status == 0) {
        CublasFunction.DESTROY.in(library).invokeExact(result.get(ValueLayout.JAVA_LONG, 0));
      }
      assumeTrue(status != 0, "this machine has a GPU");
      assertThat(status).isEqualTo(Cublas.CUBLAS_STATUS_NOT_INITIALIZED());
      assertThat((int) CublasFunction.LT_CREATE.in(library).invokeExact(result.address()))
          .isEqualTo(Cublas.CUBLAS_STATUS_NOT_INITIALIZED());
    }
    try (CpuDevice cpu = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE)) {
      CublasLibrary opened = new CublasLibrary(library);
      assertThatThrownBy(() -> new CublasHandle(opened, 0, cpu.memory(), ProductOptions.exact()))
          .isInstanceOf(CudaException.class)
          .hasMessageStartingWith("cublasCreate_v2(): CUBLAS_STATUS_NOT_INITIALIZED (1).")
          .hasMessageContaining("heddle doctor");
      assertThat(cpu.memory().liveBytes()).isZero();
    }
  }
}
