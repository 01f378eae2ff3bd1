package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.bindings.cublas.Cublas;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * What cuBLAS and cuBLASLt do on a machine without a GPU: the simulated library and the real one
 * pass the same tests, so that the one can stand for the other. The expectations are what version
 * 12.4.5 was seen to do.
 */
abstract class CublasDescriptorContract {
  private static final int INVALID_VALUE = Cublas.CUBLAS_STATUS_INVALID_VALUE();
  private static final long[] SIZES = {1, 2, 4, 8, 16};

  /** Bytes of the attributes of a product's description, 0 where there is none of that number. */
  private static final int[] DESCRIPTION_BYTES = {
    4, 4, 4, 4, 4, 4, 4, 4, 8, 0, 8, 8, 8, 8, 8, 4, 4, 8, 8, 8, 8, 8, 4, 8, 8, 1, 4
  };

  /** An attribute that is in no header and that is left out here. */
  private static final int UNDOCUMENTED = 16;

  private static final Map<Integer, Integer> PREFERENCE_BYTES =
      Map.of(0, 4, 1, 8, 2, 0, 3, 4, 4, 0, 5, 4, 6, 4, 7, 4, 8, 4, 9, 4);

  private final Arena arena = Arena.ofAuto();
  private final MemorySegment value = arena.allocate(16, 8);
  private final MemorySegment written = arena.allocate(8, 8);

  /** The library under test; cuBLASLt's symbols and cuBLAS's. */
  abstract SymbolLookup symbols();

  private MethodHandle function(CublasFunction function) {
    return function.in(symbols());
  }

  /** A getter has a setter's arguments and a pointer for the size. */
  private MethodHandle getter(String name) {
    return java.lang.foreign.Linker.nativeLinker()
        .downcallHandle(
            symbols().find(name).orElseThrow(),
            CublasFunction.DESCRIPTION_SET
                .descriptor()
                .appendArgumentLayouts(ValueLayout.JAVA_LONG));
  }

  private long description() throws Throwable {
    assertThat(
            (int)
                function(CublasFunction.DESCRIPTION_CREATE)
                    .invokeExact(value.address(), Cublas.CUBLAS_COMPUTE_32F(), Cublas.CUDA_R_32F()))
        .isZero();
    return value.get(ValueLayout.JAVA_LONG, 0);
  }

  private long layout(long rows, long columns, long leading) throws Throwable {
    assertThat(
            (int)
                function(CublasFunction.LAYOUT_CREATE)
                    .invokeExact(value.address(), Cublas.CUDA_R_32F(), rows, columns, leading))
        .isZero();
    return value.get(ValueLayout.JAVA_LONG, 0);
  }

  private long preference() throws Throwable {
    assertThat((int) function(CublasFunction.PREFERENCE_CREATE).invokeExact(value.address()))
        .isZero();
    return value.get(ValueLayout.JAVA_LONG, 0);
  }

  @Test
  void description_attributes_haveOneSizeEach() throws Throwable {
    MethodHandle set = function(CublasFunction.DESCRIPTION_SET);
    MethodHandle get = getter("cublasLtMatmulDescGetAttribute");
    long description = description();
    for (int attribute = 0; attribute < DESCRIPTION_BYTES.length; attribute++) {
      if (attribute == UNDOCUMENTED) {
        continue;
      }
      for (long size : SIZES) {
        int wanted = size == DESCRIPTION_BYTES[attribute] ? 0 : INVALID_VALUE;
        value.fill((byte) 0);
        assertThat((int) set.invokeExact(description, attribute, value.address(), size))
            .as("set attribute %d of %d bytes", attribute, size)
            .isEqualTo(wanted);
        assertThat(
                (int)
                    get.invokeExact(
                        description, attribute, value.address(), size, written.address()))
            .as("get attribute %d of %d bytes", attribute, size)
            .isEqualTo(wanted);
      }
      if (DESCRIPTION_BYTES[attribute] > 0) {
        assertThat(
                (int)
                    get.invokeExact(description, attribute, value.address(), 0L, written.address()))
            .isZero();
        assertThat(written.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(DESCRIPTION_BYTES[attribute]);
      }
    }
    assertThat((int) set.invokeExact(description, 3, 0L, 4L)).as("null").isEqualTo(INVALID_VALUE);
    assertThat((int) function(CublasFunction.DESCRIPTION_DESTROY).invokeExact(description))
        .isZero();
  }

  @Test
  void description_values_areKeptUnchecked() throws Throwable {
    MethodHandle set = function(CublasFunction.DESCRIPTION_SET);
    MethodHandle get = getter("cublasLtMatmulDescGetAttribute");
    long description = description();
    for (int epilogue : new int[] {Cublas.CUBLASLT_EPILOGUE_GELU_AUX_BIAS(), 12345}) {
      int attribute = Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE();
      value.set(ValueLayout.JAVA_INT, 0, epilogue);
      assertThat((int) set.invokeExact(description, attribute, value.address(), 4L)).isZero();
      value.fill((byte) 0);
      assertThat(
              (int) get.invokeExact(description, attribute, value.address(), 4L, written.address()))
          .isZero();
      assertThat(value.get(ValueLayout.JAVA_INT, 0)).isEqualTo(epilogue);
    }
    int pointer = Cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER();
    value.set(ValueLayout.JAVA_LONG, 0, 0x7000_1234_5678L);
    assertThat((int) set.invokeExact(description, pointer, value.address(), 8L)).isZero();
    value.fill((byte) 0);
    assertThat((int) get.invokeExact(description, pointer, value.address(), 8L, written.address()))
        .isZero();
    assertThat(value.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(0x7000_1234_5678L);
    assertThat((int) function(CublasFunction.DESCRIPTION_DESTROY).invokeExact(description))
        .isZero();
  }

  @Test
  void layout_anySizes_areTaken() throws Throwable {
    MethodHandle get = getter("cublasLtMatrixLayoutGetAttribute");
    for (long[] sizes :
        new long[][] {{4, 3, 4}, {4, 3, 2}, {0, 0, 0}, {4, 3, -4}, {1L << 33, 3, 1L << 33}}) {
      long layout = layout(sizes[0], sizes[1], sizes[2]);
      int[] attributes = {
        Cublas.CUBLASLT_MATRIX_LAYOUT_ROWS(),
        Cublas.CUBLASLT_MATRIX_LAYOUT_COLS(),
        Cublas.CUBLASLT_MATRIX_LAYOUT_LD()
      };
      for (int i = 0; i < 3; i++) {
        assertThat(
                (int)
                    get.invokeExact(layout, attributes[i], value.address(), 8L, written.address()))
            .isZero();
        assertThat(value.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(sizes[i]);
      }
      assertThat(
              (int)
                  get.invokeExact(
                      layout,
                      Cublas.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT(),
                      value.address(),
                      4L,
                      written.address()))
          .isZero();
      assertThat(value.get(ValueLayout.JAVA_INT, 0)).isEqualTo(1);
      assertThat((int) function(CublasFunction.LAYOUT_DESTROY).invokeExact(layout)).isZero();
    }
  }

  @Test
  void preference_attributes_haveSizesAndDefaults() throws Throwable {
    MethodHandle set = function(CublasFunction.PREFERENCE_SET);
    MethodHandle get = getter("cublasLtMatmulPreferenceGetAttribute");
    long preference = preference();
    for (Map.Entry<Integer, Integer> attribute : PREFERENCE_BYTES.entrySet()) {
      for (long size : SIZES) {
        int wanted = size == attribute.getValue() ? 0 : INVALID_VALUE;
        int number = attribute.getKey();
        value.fill((byte) 0);
        assertThat(
                (int) get.invokeExact(preference, number, value.address(), size, written.address()))
            .as("attribute %d of %d bytes", number, size)
            .isEqualTo(wanted);
        if (wanted == 0) {
          long usual =
              number >= Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES()
                      && number <= Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES()
                  ? 256
                  : number == Cublas.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK() ? 7 : 0;
          assertThat(value.get(ValueLayout.JAVA_LONG, 0))
              .as("default of %d", number)
              .isEqualTo(usual);
        }
        assertThat((int) set.invokeExact(preference, number, value.address(), size))
            .isEqualTo(wanted);
      }
    }
    assertThat((int) function(CublasFunction.PREFERENCE_DESTROY).invokeExact(preference)).isZero();
  }

  @Test
  void nullObjects_areRefusedOrDestroyed() throws Throwable {
    assertThat((int) function(CublasFunction.DESCRIPTION_DESTROY).invokeExact(0L)).isZero();
    assertThat((int) function(CublasFunction.LAYOUT_DESTROY).invokeExact(0L)).isZero();
    assertThat((int) function(CublasFunction.PREFERENCE_DESTROY).invokeExact(0L)).isZero();
    assertThat((int) function(CublasFunction.LT_DESTROY).invokeExact(0L)).isEqualTo(INVALID_VALUE);
    assertThat((int) function(CublasFunction.DESCRIPTION_CREATE).invokeExact(0L, 68, 0))
        .isEqualTo(INVALID_VALUE);
    assertThat((int) function(CublasFunction.LAYOUT_CREATE).invokeExact(0L, 0, 4L, 3L, 4L))
        .isEqualTo(INVALID_VALUE);
    int uninitialised = Cublas.CUBLAS_STATUS_NOT_INITIALIZED();
    assertThat((int) function(CublasFunction.DESTROY).invokeExact(0L)).isEqualTo(uninitialised);
    assertThat((int) function(CublasFunction.SET_STREAM).invokeExact(0L, 0L))
        .isEqualTo(uninitialised);
    assertThat((int) function(CublasFunction.SET_WORKSPACE).invokeExact(0L, 0L, 0L))
        .isEqualTo(uninitialised);
    assertThat((int) function(CublasFunction.SET_MATH_MODE).invokeExact(0L, 0))
        .isEqualTo(uninitialised);
    value.fill((byte) 0);
    assertThat((int) function(CublasFunction.GET_VERSION).invokeExact(0L, value.address()))
        .isZero();
    assertThat(value.get(ValueLayout.JAVA_INT, 0)).isBetween(120_000, 139_999);
  }
}
