package dev.heddle.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * The system loader's own words about a file that it refused.
 *
 * <p>{@code SymbolLookup.libraryLookup} says only "Cannot open library", the same for a missing
 * file and for one that was built for a newer C library. Asking the loader a second time and
 * reading {@code dlerror} tells them apart.
 */
final class LoaderMessage {
  private static final int RTLD_LAZY = 1;
  private static final long LONGEST_MESSAGE = 4096;

  private LoaderMessage() {}

  static String why(Platform platform, String file, IllegalArgumentException refused) {
    String known = String.valueOf(refused.getMessage());
    return switch (platform.system()) {
      case LINUX, MACOS -> dlerror(file).orElse(known);
      case WINDOWS, OTHER -> known;
    };
  }

  private static Optional<String> dlerror(String file) {
    Linker linker = Linker.nativeLinker();
    SymbolLookup system = linker.defaultLookup();
    Optional<MemorySegment> open = system.find("dlopen");
    Optional<MemorySegment> error = system.find("dlerror");
    if (open.isEmpty() || error.isEmpty()) {
      return Optional.empty();
    }
    MethodHandle dlopen =
        linker.downcallHandle(
            open.get(),
            FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
    MethodHandle dlerror =
        linker.downcallHandle(error.get(), FunctionDescriptor.of(ValueLayout.ADDRESS));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment handle =
          (MemorySegment) dlopen.invokeExact(arena.allocateFrom(file), RTLD_LAZY);
      MemorySegment message = (MemorySegment) dlerror.invokeExact();
      return handle.address() != 0 || message.address() == 0
          ? Optional.empty()
          : Optional.of(message.reinterpret(LONGEST_MESSAGE).getString(0));
    } catch (Throwable unexpected) {
      // A diagnosis must not fail: the caller has the JDK's message to show instead.
      return Optional.empty();
    }
  }
}
