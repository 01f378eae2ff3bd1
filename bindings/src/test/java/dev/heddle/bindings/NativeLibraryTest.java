package dev.heddle.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.heddle.bindings.NativeLibrary.Substitution;
import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.bindings.onednn.OneDnn;
import dev.heddle.bindings.onednn.dnnl_version_t;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class NativeLibraryTest {
  private static final MemorySegment SOMEWHERE = MemorySegment.ofAddress(64);

  // Called from native code only.
  @SuppressWarnings("UnusedMethod")
  private static int threeDevices(MemorySegment count) {
    count.reinterpret(Integer.BYTES).set(ValueLayout.JAVA_INT, 0, 3);
    return 0;
  }

  @Test
  void oneDnn_fromTheMavenArtifact_answersADowncall() {
    assumeThat(Platform.current().classifier()).isEqualTo("linux-x86_64");
    assertThat(NativeLibrary.ONEDNN.isAvailable()).as(NativeLibrary.ONEDNN.reason()).isTrue();
    assertThat(NativeLibrary.ONEDNN.location().orElseThrow()).endsWith("libdnnl.so.3");
    assertThat(NativeLibrary.ONEDNN.reason()).startsWith("oneDNN was found at ");

    MemorySegment version = OneDnn.dnnl_version().reinterpret(dnnl_version_t.sizeof());
    assertThat(dnnl_version_t.major(version)).isEqualTo(OneDnn.DNNL_VERSION_MAJOR());
    assertThat(dnnl_version_t.minor(version)).isEqualTo(OneDnn.DNNL_VERSION_MINOR());
  }

  @Test
  void oneDnn_lookup_alsoServesTheOpenMpRunTimeItNeeds() {
    assumeThat(Platform.current().classifier()).isEqualTo("linux-x86_64");
    assertThat(NativeLibrary.ONEDNN.find("omp_set_num_threads")).isPresent();
  }

  @Test
  void substitutedLookup_isWhatGeneratedDowncallsReach() throws Exception {
    Linker linker = Linker.nativeLinker();
    MemorySegment stub =
        linker.upcallStub(
            MethodHandles.lookup()
                .findStatic(
                    NativeLibraryTest.class,
                    "threeDevices",
                    MethodType.methodType(int.class, MemorySegment.class)),
            FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS),
            Arena.global());
    SymbolLookup simulated =
        name -> name.equals("cuDeviceGetCount") ? Optional.of(stub) : Optional.empty();
    try (Substitution _ = NativeLibrary.CUDA.substitute(simulated);
        Arena arena = Arena.ofConfined()) {
      assertThat(NativeLibrary.CUDA.isAvailable()).isTrue();
      assertThat(NativeLibrary.CUDA.location()).hasValue("a substituted lookup");
      MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
      assertThat(Cuda.cuDeviceGetCount(count)).isZero();
      assertThat(count.get(ValueLayout.JAVA_INT, 0)).isEqualTo(3);
    }
  }

  @Test
  void substitute_closed_restoresWhatWasThereBefore() {
    String before = NativeLibrary.MPI.reason();
    SymbolLookup outer = name -> Optional.of(SOMEWHERE);
    SymbolLookup inner = name -> Optional.empty();
    try (Substitution _ = NativeLibrary.MPI.substitute(outer)) {
      try (Substitution _ = NativeLibrary.MPI.substitute(inner)) {
        assertThat(NativeLibrary.MPI.find("MPI_Init")).isEmpty();
      }
      assertThat(NativeLibrary.MPI.find("MPI_Init")).hasValue(SOMEWHERE);
    }
    assertThat(NativeLibrary.MPI.reason()).isEqualTo(before);
  }

  @Test
  void find_versionedSymbolAbsent_fallsBackToThePlainName() {
    SymbolLookup oldDriver =
        name -> name.equals("cuEventElapsedTime") ? Optional.of(SOMEWHERE) : Optional.empty();
    try (Substitution _ = NativeLibrary.CUDA.substitute(oldDriver)) {
      assertThat(NativeLibrary.CUDA.find("cuEventElapsedTime_v2")).hasValue(SOMEWHERE);
      assertThat(NativeLibrary.CUDA.find("cuEventCreate_v2")).isEmpty();
      assertThat(NativeLibrary.CUDA.find("_v2")).isEmpty();
    }
  }

  @Test
  void find_versionedSymbolPresent_isPreferredToThePlainName() {
    MemorySegment elsewhere = MemorySegment.ofAddress(128);
    SymbolLookup both =
        name ->
            switch (name) {
              case "cuMemAlloc_v2" -> Optional.of(SOMEWHERE);
              case "cuMemAlloc" -> Optional.of(elsewhere);
              default -> Optional.empty();
            };
    try (Substitution _ = NativeLibrary.CUDA.substitute(both)) {
      assertThat(NativeLibrary.CUDA.find("cuMemAlloc_v2")).hasValue(SOMEWHERE);
      assertThat(NativeLibrary.CUDA.find("cuMemAlloc")).hasValue(elsewhere);
    }
  }

  @Test
  void absentLibrary_leavesConstantsAndOtherLibrariesUsable() throws Exception {
    // A JVM of its own, because a library is searched once and a failed downcall is remembered.
    String output =
        ChildJvm.run(AbsentLibraryProbe.class, "-Dheddle.nccl=/no/such/folder/libnccl.so.2");
    assertThat(output)
        .contains("constant 2")
        .contains("available false")
        .contains("location Optional.empty")
        .contains("require IllegalStateException NCCL is not available. Tried:")
        .contains("/no/such/folder/libnccl.so.2 (system property heddle.nccl): ")
        .contains("What to do: correct system property heddle.nccl or remove it")
        .contains("find Optional.empty")
        .contains("downcall ExceptionInInitializerError NoSuchElementException")
        .contains("constant afterwards 2")
        .contains("oneDNN afterwards " + NativeLibrary.ONEDNN.isAvailable())
        .contains("WARNING: ncclGetVersion was asked for: NCCL is not available.");
  }

  @Test
  void require_presentLibrary_returnsIt() {
    try (Substitution _ = NativeLibrary.NCCL.substitute(name -> Optional.of(SOMEWHERE))) {
      assertThat(NativeLibrary.NCCL.require()).isSameAs(NativeLibrary.NCCL);
    }
  }

  @Test
  void find_nullName_isRefused() {
    assertThatThrownBy(() -> NativeLibrary.CUDA.find(null))
        .isInstanceOf(NullPointerException.class)
        .hasMessageContaining("name");
  }

  /** Prints what a program sees of a library that is not there. */
  static final class AbsentLibraryProbe {
    private AbsentLibraryProbe() {}

    public static void main(String[] args) {
      System.out.println("constant " + Nccl.NCCL_MAJOR());
      System.out.println("available " + NativeLibrary.NCCL.isAvailable());
      System.out.println("location " + NativeLibrary.NCCL.location());
      try {
        NativeLibrary.NCCL.require();
      } catch (IllegalStateException absent) {
        System.out.println("require IllegalStateException " + absent.getMessage());
      }
      System.out.println("find " + NativeLibrary.NCCL.find("ncclGetVersion"));
      try {
        Nccl.ncclGetVersion(MemorySegment.NULL);
      } catch (ExceptionInInitializerError absent) {
        System.out.println(
            "downcall ExceptionInInitializerError " + absent.getCause().getClass().getSimpleName());
      }
      System.out.println("constant afterwards " + Nccl.NCCL_MAJOR());
      System.out.println("oneDNN afterwards " + NativeLibrary.ONEDNN.isAvailable());
    }
  }
}
