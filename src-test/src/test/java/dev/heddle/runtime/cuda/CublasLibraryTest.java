package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.simulated.cublas.GpuAccess;
import dev.heddle.simulated.cublas.SimulatedCublas;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Which functions are called, and what is said where they are not there. */
class CublasLibraryTest {

  @ParameterizedTest
  @EnumSource
  void function_signature_isThatOfTheGeneratedBinding(CublasFunction function) throws Exception {
    SimulatedCublas simulation = new SimulatedCublas(GpuAccess.installed());
    // Asking for the generated descriptor looks the symbol up.
    try (NativeLibrary.Substitution substitution = NativeLibrary.CUBLAS.substitute(simulation)) {
      FunctionDescriptor generated =
          (FunctionDescriptor)
              Cublas.class.getMethod(function.symbol() + "$descriptor").invoke(null);
      assertThat(function.descriptor()).isEqualTo(withNumbers(generated));
    }
  }

  private static FunctionDescriptor withNumbers(FunctionDescriptor generated) {
    MemoryLayout[] arguments =
        generated.argumentLayouts().stream()
            .map(layout -> layout instanceof AddressLayout ? ValueLayout.JAVA_LONG : layout)
            .map(MemoryLayout::withoutName)
            .toArray(MemoryLayout[]::new);
    return FunctionDescriptor.of(generated.returnLayout().orElseThrow(), arguments);
  }

  @Test
  void open_libraryWithoutAFunction_namesItAndTheVersionsWanted() {
    SimulatedCublas simulation = new SimulatedCublas(GpuAccess.installed());
    SymbolLookup older =
        name -> name.equals("cublasGemmEx_64") ? java.util.Optional.empty() : simulation.find(name);
    try (NativeLibrary.Substitution substitution = NativeLibrary.CUBLAS.substitute(older)) {
      assertThatThrownBy(CublasLibrary::open)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageStartingWith("cublasGemmEx_64 is not in the cuBLAS that was found")
          .hasMessageContaining("CUDA 12 or 13")
          .hasMessageContaining("-Dheddle.cublas=");
    }
  }

  @Test
  void open_withoutTheLibrary_saysEveryNameTriedAndTheFix() {
    assumeFalse(NativeLibrary.CUBLAS.isAvailable(), "this machine has cuBLAS");
    assertThatThrownBy(CublasLibrary::open)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("libcublasLt.so.13")
        .hasMessageContaining("libcublasLt.so.12")
        .hasMessageContaining("What to do: install the CUDA toolkit 12 or 13");
  }

  @Test
  void find_functionThatIsNotSimulated_findsNothing() {
    assertThat(new SimulatedCublas(GpuAccess.installed()).find("cublasSgemm_v2")).isEmpty();
  }
}
