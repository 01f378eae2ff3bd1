package dev.heddle.simulated.cublas;

import dev.heddle.bindings.cublas.Cublas;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A simulated cuBLAS and cuBLASLt, version 12.4.5, for {@code NativeLibrary.CUBLAS.substitute}. Its
 * functions live until the JVM ends, because generated bindings keep their addresses.
 */
public final class SimulatedCublas implements SymbolLookup {
  private static final int VERSION = 120405;

  private static final Arena FOREVER = Arena.global();

  private final BlasFunctions blas;
  private final LtFunctions lt;
  private final Map<String, MemorySegment> functions = new HashMap<>();
  private final Map<String, Integer> calls = new HashMap<>();
  private final Map<String, Integer> failures = new HashMap<>();
  private final List<String> refusals = new ArrayList<>();

  /** A library for the GPUs behind {@code gpu}. */
  public SimulatedCublas(GpuAccess gpu) {
    blas = new BlasFunctions(gpu, VERSION, FOREVER);
    lt = new LtFunctions(gpu, FOREVER);
    add(blas, "cublasCreate_v2", Cublas.cublasCreate_v2$descriptor());
    add(blas, "cublasDestroy_v2", Cublas.cublasDestroy_v2$descriptor());
    add(blas, "cublasGetVersion_v2", Cublas.cublasGetVersion_v2$descriptor());
    add(blas, "cublasSetStream_v2", Cublas.cublasSetStream_v2$descriptor());
    add(blas, "cublasSetWorkspace_v2", Cublas.cublasSetWorkspace_v2$descriptor());
    add(blas, "cublasSetMathMode", Cublas.cublasSetMathMode$descriptor());
    add(blas, "cublasGemmEx_64", Cublas.cublasGemmEx_64$descriptor());
    add(
        blas,
        "cublasGemmStridedBatchedEx_64",
        Cublas.cublasGemmStridedBatchedEx_64$descriptor());
    add(lt, "cublasLtCreate", Cublas.cublasLtCreate$descriptor());
    add(lt, "cublasLtDestroy", Cublas.cublasLtDestroy$descriptor());
    add(lt, "cublasLtMatmulDescCreate", Cublas.cublasLtMatmulDescCreate$descriptor());
    add(lt, "cublasLtMatmulDescDestroy", Cublas.cublasLtMatmulDescDestroy$descriptor());
    add(lt, "cublasLtMatmulDescSetAttribute", Cublas.cublasLtMatmulDescSetAttribute$descriptor());
    add(lt, "cublasLtMatmulDescGetAttribute", Cublas.cublasLtMatmulDescGetAttribute$descriptor());
    add(lt, "cublasLtMatrixLayoutCreate", Cublas.cublasLtMatrixLayoutCreate$descriptor());
    add(lt, "cublasLtMatrixLayoutDestroy", Cublas.cublasLtMatrixLayoutDestroy$descriptor());
    add(
        lt,
        "cublasLtMatrixLayoutSetAttribute",
        Cublas.cublasLtMatrixLayoutSetAttribute$descriptor());
    add(
        lt,
        "cublasLtMatrixLayoutGetAttribute",
        Cublas.cublasLtMatrixLayoutGetAttribute$descriptor());
    add(lt, "cublasLtMatmulPreferenceCreate", Cublas.cublasLtMatmulPreferenceCreate$descriptor());
    add(
        lt, "cublasLtMatmulPreferenceDestroy", Cublas.cublasLtMatmulPreferenceDestroy$descriptor());
    add(
        lt,
        "cublasLtMatmulPreferenceSetAttribute",
        Cublas.cublasLtMatmulPreferenceSetAttribute$descriptor());
    add(
        lt,
        "cublasLtMatmulPreferenceGetAttribute",
        Cublas.cublasLtMatmulPreferenceGetAttribute$descriptor());
    add(lt, "cublasLtMatmulAlgoGetHeuristic", Cublas.cublasLtMatmulAlgoGetHeuristic$descriptor());
    add(lt, "cublasLtMatmul", Cublas.cublasLtMatmul$descriptor());
  }

  /** A function's address; empty for those that are not simulated. */
  @Override
  public Optional<MemorySegment> find(String name) {
    return Optional.ofNullable(functions.get(name));
  }

  /** How often a function was called. */
  public synchronized int calls(String function) {
    return calls.getOrDefault(function, 0);
  }

  /** Calls of all functions. */
  public synchronized int calls() {
    return calls.values().stream().mapToInt(Integer::intValue).sum();
  }

  /** Each call that was refused, with the reason, in order. */
  public synchronized List<String> refusals() {
    return List.copyOf(refusals);
  }

  /** Makes the next call of a function do nothing but return {@code status}. */
  public synchronized void failNext(String function, int status) {
    failures.put(function, status);
  }

  /** From now on cuBLASLt has no algorithm for products with this epilogue. */
  public void refuseEpilogue(int epilogue) {
    lt.refuseEpilogue(epilogue);
  }

  /** cuBLAS handles that were not destroyed. */
  public int liveHandles() {
    return blas.liveHandles();
  }

  /** cuBLASLt handles and descriptors that were not destroyed. */
  public int liveLtObjects() {
    return lt.liveObjects();
  }

  /** Products of cuBLAS handles that had no workspace of the caller's. */
  public int productsWithoutWorkspace() {
    return blas.productsWithoutWorkspace();
  }

  // ---- stubs

  private void add(Object functionsOf, String name, FunctionDescriptor generated) {
    FunctionDescriptor descriptor = withNumbers(generated);
    MethodType type = descriptor.toMethodType();
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      MethodHandle function =
          lookup.findVirtual(functionsOf.getClass(), name, type).bindTo(functionsOf);
      MethodHandle failure =
          lookup
              .findVirtual(
                  SimulatedCublas.class,
                  "statusOf",
                  MethodType.methodType(int.class, String.class, Throwable.class))
              .bindTo(this)
              .bindTo(name);
      MethodHandle before =
          lookup
              .findVirtual(
                  SimulatedCublas.class,
                  "enter",
                  MethodType.methodType(void.class, String.class))
              .bindTo(this)
              .bindTo(name);
      MethodHandle counted = MethodHandles.foldArguments(function, before);
      // Nothing may be thrown through C: the JVM would end.
      MethodHandle guarded = MethodHandles.catchException(counted, Throwable.class, failure);
      functions.put(name, Linker.nativeLinker().upcallStub(guarded, descriptor, FOREVER));
    } catch (ReflectiveOperationException mismatch) {
      throw new IllegalStateException(
          name + " is not simulated with the binding's signature " + type, mismatch);
    }
  }

  /** The same C signature with pointers as numbers. */
  private static FunctionDescriptor withNumbers(FunctionDescriptor generated) {
    MemoryLayout[] arguments = generated.argumentLayouts().toArray(MemoryLayout[]::new);
    for (int i = 0; i < arguments.length; i++) {
      if (arguments[i] instanceof AddressLayout) {
        arguments[i] = ValueLayout.JAVA_LONG;
      }
    }
    return FunctionDescriptor.of(ValueLayout.JAVA_INT, arguments);
  }

  private synchronized void enter(String name) {
    calls.merge(name, 1, Integer::sum);
    Integer planned = failures.remove(name);
    if (planned != null) {
      throw new PlannedFailure(planned);
    }
  }

  private synchronized int statusOf(String name, Throwable thrown) {
    int status =
        switch (thrown) {
          case Refusal refusal -> refusal.status();
          case PlannedFailure planned -> planned.status;
          default -> Cublas.CUBLAS_STATUS_INTERNAL_ERROR();
        };
    refusals.add(name + ": " + messageOf(thrown));
    return status;
  }

  private static @Nullable String messageOf(Throwable thrown) {
    return thrown instanceof Refusal ? thrown.getMessage() : thrown.toString();
  }

  private static final class PlannedFailure extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final int status;

    PlannedFailure(int status) {
      super("asked for by the test");
      this.status = status;
    }
  }
}
