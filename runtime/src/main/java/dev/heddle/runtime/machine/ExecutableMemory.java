package dev.heddle.runtime.machine;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import java.util.Optional;

/**
 * Memory that machine code is run from. It is written first and made executable then, never both at
 * once, which hardened systems refuse. It stays until the JVM ends: code that runs has no owner
 * that could know when nobody is in it any more.
 */
public final class ExecutableMemory {
  // Protection bits and flags of Linux.
  private static final int READ_AND_WRITE = 3;
  private static final int READ_AND_EXECUTE = 5;
  private static final int PRIVATE_AND_ANONYMOUS = 0x22;
  private static final long FAILED = -1;

  private ExecutableMemory() {}

  /**
   * Makes code executable.
   *
   * @return where it begins; empty if this is not Linux on x86-64 or the system refuses
   */
  public static Optional<MemorySegment> of(byte[] code) {
    if (!Processor.isLinuxOnX86()) {
      return Optional.empty();
    }
    MethodHandle map =
        handle(
            "mmap",
            FunctionDescriptor.of(
                ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_LONG));
    MethodHandle protect =
        handle(
            "mprotect",
            FunctionDescriptor.of(
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_LONG,
                ValueLayout.JAVA_INT));
    MethodHandle unmap =
        handle(
            "munmap",
            FunctionDescriptor.of(
                ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
    try {
      long bytes = code.length;
      long address =
          (long) map.invokeExact(0L, bytes, READ_AND_WRITE, PRIVATE_AND_ANONYMOUS, -1, 0L);
      if (address == FAILED) {
        return Optional.empty();
      }
      MemorySegment memory = MemorySegment.ofAddress(address).reinterpret(bytes);
      MemorySegment.copy(code, 0, memory, ValueLayout.JAVA_BYTE, 0, code.length);
      if ((int) protect.invokeExact(address, bytes, READ_AND_EXECUTE) != 0) {
        int ignored = (int) unmap.invokeExact(address, bytes);
        return Optional.empty();
      }
      return Optional.of(memory);
    } catch (Throwable thrown) {
      throw new IllegalStateException("ExecutableMemory: mapping memory for code failed", thrown);
    }
  }

  /**
   * Makes several functions executable that were written one after the other.
   *
   * @param starts where each begins, in order, and then where the last one ends
   * @return each function; empty as for {@link #of}
   */
  public static Optional<MemorySegment[]> functions(Assembler code, int[] starts) {
    return of(code.toBytes())
        .map(
            memory -> {
              MemorySegment[] functions = new MemorySegment[starts.length - 1];
              for (int i = 0; i < functions.length; i++) {
                functions[i] = memory.asSlice(starts[i], starts[i + 1] - starts[i]);
              }
              return functions;
            });
  }

  /**
   * Calls functions that take so many whole numbers and return nothing; the handle's first argument
   * is the function. To the JVM a call is a piece of Java that does not stop until it returns, so
   * functions must be done within a millisecond or so: a collector waits for them. In return a call
   * does not wait for all that the function wrote to reach the cache, and costs some 10 ns less.
   */
  public static MethodHandle caller(int arguments) {
    MemoryLayout[] layouts = new MemoryLayout[arguments];
    Arrays.fill(layouts, ValueLayout.JAVA_LONG);
    return Linker.nativeLinker()
        .downcallHandle(FunctionDescriptor.ofVoid(layouts), Linker.Option.critical(false));
  }

  private static MethodHandle handle(String name, FunctionDescriptor descriptor) {
    Linker linker = Linker.nativeLinker();
    MemorySegment function =
        linker
            .defaultLookup()
            .find(name)
            .orElseThrow(() -> new IllegalStateException("ExecutableMemory: no " + name + " here"));
    return linker.downcallHandle(function, descriptor);
  }
}
