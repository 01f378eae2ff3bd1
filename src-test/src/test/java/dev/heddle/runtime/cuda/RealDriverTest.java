package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.bindings.cuda.Cuda;
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

/** Against NVIDIA's driver library, where {@link RealLibraries} are given; no GPU is needed. */
class RealDriverTest {
  private static SymbolLookup library;

  @BeforeAll
  static void open() {
    library = RealLibraries.driver();
  }

  private static MethodHandle function(String name, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(library.find(name).orElseThrow(), descriptor);
  }

  /** With the fallback of {@code NativeLibrary} to the unversioned name. */
  @Test
  void everySymbolThatIsBound_resolves() {
    List<String> missing = new ArrayList<>();
    List<String> fallback = new ArrayList<>();
    int bound = 0;
    for (Method method : Cuda.class.getMethods()) {
      String name = method.getName();
      if (name.endsWith("$descriptor")) {
        bound++;
        String symbol = name.substring(0, name.indexOf('$'));
        if (library.find(symbol).isEmpty()) {
          String plain = symbol.replaceFirst("_v\\d+$", "");
          (library.find(plain).isEmpty() ? missing : fallback).add(symbol);
        }
      }
    }
    assertThat(bound).isGreaterThanOrEqualTo(160);
    assertThat(missing).isEmpty();
    // Drivers before CUDA 12.8 have only the plain name.
    assertThat(fallback).isSubsetOf("cuEventElapsedTime_v2");
  }

  @Test
  void start_withOrWithoutAGpu_isSuccessOrNoDevice() throws Throwable {
    MethodHandle init =
        function("cuInit", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    assertThat((int) init.invokeExact(0)).isIn(0, Cuda.CUDA_ERROR_NO_DEVICE());
    MethodHandle version =
        function(
            "cuDriverGetVersion",
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment number = arena.allocate(ValueLayout.JAVA_INT);
      assertThat((int) version.invokeExact(number.address())).isZero();
      assertThat(number.get(ValueLayout.JAVA_INT, 0))
          .isGreaterThanOrEqualTo(CudaDriver.MINIMUM_VERSION);
    }
  }

  @Test
  void errorNames_areTheDriversOwn() throws Throwable {
    MethodHandle nameOf =
        function(
            "cuGetErrorName",
            FunctionDescriptor.of(
                ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocate(ValueLayout.ADDRESS);
      assertThat((int) nameOf.invokeExact(Cuda.CUDA_ERROR_ILLEGAL_ADDRESS(), name.address()))
          .isZero();
      assertThat(name.get(ValueLayout.ADDRESS, 0).reinterpret(100).getString(0))
          .isEqualTo("CUDA_ERROR_ILLEGAL_ADDRESS");
      assertThat((int) nameOf.invokeExact(424242, name.address()))
          .isEqualTo(Cuda.CUDA_ERROR_INVALID_VALUE());
    }
  }
}
