package dev.heddle.simulated.cublas;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.cublas.Cublas;
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
import java.lang.reflect.Method;
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
    addAll(blas, BlasFunctions.class);
    addAll(lt, LtFunctions.class);
  }

  /**
   * Puts a library for the installed simulated GPUs in the place of the real one, until the
   * substitution is closed.
   */
  public static NativeLibrary.Substitution install() {
    return NativeLibrary.CUBLAS.substitute(new SimulatedCublas(GpuAccess.installed()));
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

  /** Ends every handle and descriptor: what the end of a process does. */
  public void forgetLiveObjects() {
    blas.forgetLiveObjects();
    lt.forgetLiveObjects();
  }

  /** Products of cuBLAS handles that had no workspace of the caller's. */
  public int productsWithoutWorkspace() {
    return blas.productsWithoutWorkspace();
  }

  // ---- stubs

  /** Every method with a C name is a function; its parameters are the C signature. */
  private void addAll(Object receiver, Class<?> declaring) {
    for (Method method : declaring.getDeclaredMethods()) {
      if (method.getName().startsWith("cublas")) {
        functions.put(method.getName(), stub(receiver, method));
      }
    }
  }

  private MemorySegment stub(Object receiver, Method method) {
    String name = method.getName();
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      MethodHandle function = lookup.unreflect(method).bindTo(receiver);
      MethodHandle before = bound(lookup, name, "enter", MethodType.methodType(void.class));
      MethodHandle failed =
          bound(lookup, name, "statusOf", MethodType.methodType(int.class, Throwable.class));
      // Nothing may be thrown through C: the JVM would end.
      MethodHandle guarded =
          MethodHandles.catchException(
              MethodHandles.foldArguments(function, before), Throwable.class, failed);
      return Linker.nativeLinker().upcallStub(guarded, descriptor(method), FOREVER);
    } catch (ReflectiveOperationException impossible) {
      throw new IllegalStateException(name + " cannot be bound", impossible);
    }
  }

  /** One of this class's methods that take the function's name first. */
  private MethodHandle bound(
      MethodHandles.Lookup lookup, String function, String method, MethodType rest)
      throws ReflectiveOperationException {
    MethodType type = rest.insertParameterTypes(0, String.class);
    MethodHandle handle = lookup.findVirtual(SimulatedCublas.class, method, type);
    return handle.bindTo(this).bindTo(function);
  }

  private static FunctionDescriptor descriptor(Method method) {
    MemoryLayout[] arguments = new MemoryLayout[method.getParameterCount()];
    for (int i = 0; i < arguments.length; i++) {
      boolean isInt = method.getParameterTypes()[i] == int.class;
      arguments[i] = isInt ? ValueLayout.JAVA_INT : ValueLayout.JAVA_LONG;
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
