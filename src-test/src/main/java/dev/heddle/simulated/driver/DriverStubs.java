package dev.heddle.simulated.driver;

import dev.heddle.bindings.cuda.Cuda;
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
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The driver's symbols: for each function an upcall stub of the Java method with its name, typed by
 * the descriptor of the generated binding. Stubs are made once for the life of the JVM, because the
 * bindings keep the address that they first found; what a stub reaches is whichever machine is
 * installed when it is called.
 */
final class DriverStubs implements SymbolLookup {
  private static final List<Class<?>> CALLS =
      List.of(
          DeviceCalls.class,
          MemoryCalls.class,
          CopyCalls.class,
          StreamCalls.class,
          ModuleCalls.class,
          GraphCalls.class);

  // After what its constructor uses.
  static final DriverStubs INSTANCE = new DriverStubs();

  private final MethodHandles.Lookup lookup = MethodHandles.lookup();
  private final Map<String, Method> methods = new HashMap<>();
  private final Map<String, MemorySegment> stubs = new HashMap<>();

  private DriverStubs() {
    for (Class<?> calls : CALLS) {
      for (Method method : calls.getDeclaredMethods()) {
        if (method.getName().startsWith("cu") && Modifier.isStatic(method.getModifiers())) {
          methods.put(method.getName(), method);
        }
      }
    }
  }

  @Override
  public synchronized Optional<MemorySegment> find(String name) {
    MemorySegment made = stubs.get(name);
    if (made == null) {
      FunctionDescriptor descriptor = descriptor(name);
      if (descriptor == null) {
        return Optional.empty();
      }
      made = Linker.nativeLinker().upcallStub(handle(name, descriptor), descriptor, Arena.global());
      stubs.put(name, made);
    }
    return Optional.of(made);
  }

  /** The generated binding's descriptor, or null if it binds no such function. */
  private static @Nullable FunctionDescriptor descriptor(String name) {
    try {
      return (FunctionDescriptor) Cuda.class.getMethod(name + "$descriptor").invoke(null);
    } catch (NoSuchMethodException none) {
      return null;
    } catch (IllegalAccessException | InvocationTargetException impossible) {
      throw new IllegalStateException("descriptor of " + name, impossible);
    }
  }

  private MethodHandle handle(String name, FunctionDescriptor descriptor) {
    MethodType type = descriptor.toMethodType();
    try {
      Method method = methods.get(name);
      MethodHandle body =
          method == null
              ? MethodHandles.dropArguments(
                  lookup
                      .findStatic(
                          DriverStubs.class,
                          "refuse",
                          MethodType.methodType(int.class, String.class))
                      .bindTo(name),
                  0,
                  type.parameterList())
              : lookup.unreflect(method);
      if (!body.type().equals(type)) {
        throw new IllegalStateException(
            "simulated " + name + " has type " + body.type() + ", the binding " + type);
      }
      MethodHandle failed =
          lookup
              .findStatic(
                  DriverStubs.class,
                  "failed",
                  MethodType.methodType(int.class, String.class, Throwable.class))
              .bindTo(name);
      return MethodHandles.catchException(body, Throwable.class, failed);
    } catch (ReflectiveOperationException impossible) {
      throw new IllegalStateException("stub of " + name, impossible);
    }
  }

  /** What no simulated function answers. */
  @SuppressWarnings("UnusedMethod") // looked up by name
  private static int refuse(String name) {
    throw new DriverError(
        Cuda.CUDA_ERROR_NOT_SUPPORTED(), "the simulated driver has no " + name + "; add it there");
  }

  /** An exception must not leave an upcall: it would end the JVM. */
  @SuppressWarnings("UnusedMethod") // looked up by name
  private static int failed(String name, Throwable thrown) {
    Machine machine = Machine.installedOrNull();
    int status = thrown instanceof DriverError error ? error.status() : Cuda.CUDA_ERROR_UNKNOWN();
    if (machine != null) {
      String text =
          thrown instanceof DriverError ? thrown.getMessage() : "internal error: " + thrown;
      synchronized (machine) {
        machine.complain(name + ": " + text);
      }
      if (!(thrown instanceof DriverError)) {
        System.getLogger("dev.heddle.simulated.driver")
            .log(System.Logger.Level.ERROR, "simulated driver, " + name, thrown);
      }
    }
    return status;
  }
}
