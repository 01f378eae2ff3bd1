package dev.heddle.simulated.nccl;

import dev.heddle.bindings.nccl.Nccl;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * NCCL's symbols: for each function of {@link NcclFunctions} an upcall stub, typed by the generated
 * binding's descriptor. Stubs live as long as the JVM, since the bindings keep their addresses. A
 * function that is not simulated has no symbol.
 */
final class NcclStubs implements SymbolLookup {
  static final NcclStubs INSTANCE = new NcclStubs();

  private final MethodHandles.Lookup lookup = MethodHandles.lookup();
  private final Map<String, Method> methods = new HashMap<>();
  private final Map<String, MemorySegment> stubs = new HashMap<>();

  private NcclStubs() {
    for (Method method : NcclFunctions.class.getDeclaredMethods()) {
      if (method.getName().startsWith("nccl") && Modifier.isStatic(method.getModifiers())) {
        methods.put(method.getName(), method);
      }
    }
  }

  @Override
  public synchronized Optional<MemorySegment> find(String name) {
    Method method = methods.get(name);
    return method == null
        ? Optional.empty()
        : Optional.of(stubs.computeIfAbsent(name, key -> stub(key, method)));
  }

  private MemorySegment stub(String name, Method method) {
    try {
      FunctionDescriptor descriptor =
          (FunctionDescriptor) Nccl.class.getMethod(name + "$descriptor").invoke(null);
      MethodHandle body = lookup.unreflect(method);
      MethodType type = descriptor.toMethodType();
      if (!body.type().equals(type)) {
        throw new IllegalStateException(
            "simulated " + name + " has type " + body.type() + ", the binding " + type);
      }
      if (type.returnType() == int.class) {
        MethodHandle failed =
            lookup
                .findStatic(
                    NcclStubs.class,
                    "failed",
                    MethodType.methodType(int.class, String.class, Throwable.class))
                .bindTo(name);
        body = MethodHandles.catchException(body, Throwable.class, failed);
      }
      return Linker.nativeLinker().upcallStub(body, descriptor, Arena.global());
    } catch (NoSuchMethodException | IllegalAccessException | InvocationTargetException wrong) {
      throw new IllegalStateException("stub of " + name, wrong);
    }
  }

  /** An exception must not leave an upcall: it would end the JVM. */
  private static int failed(String name, Throwable thrown) {
    int status = thrown instanceof NcclError error ? error.status() : Nccl.ncclInternalError();
    String text =
        thrown instanceof NcclError
            ? String.valueOf(thrown.getMessage())
            : "internal error: " + thrown;
    NcclFunctions.lastError(text);
    SimulatedNccl nccl = SimulatedNccl.currentOrNull();
    if (nccl != null) {
      nccl.complain(name + ": " + text);
    }
    if (!(thrown instanceof NcclError)) {
      System.getLogger("dev.heddle.simulated.nccl")
          .log(System.Logger.Level.ERROR, "simulated NCCL, " + name, thrown);
    }
    return status;
  }
}
