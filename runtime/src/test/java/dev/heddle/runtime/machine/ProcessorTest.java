package dev.heddle.runtime.machine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What the processor says of itself, against what Linux says of it. */
class ProcessorTest {
  @Test
  void features_areThoseThatLinuxTells() throws IOException {
    Path told = Path.of("/proc/cpuinfo");
    assumeTrue(Processor.isLinuxOnX86() && Files.isReadable(told), "not Linux on x86-64");
    String flags =
        Files.readAllLines(told).stream()
            .filter(line -> line.startsWith("flags"))
            .findFirst()
            .orElseThrow();
    Set<String> all = new HashSet<>(Arrays.asList(flags.split("\\s+")));

    boolean avx512 = all.containsAll(List.of("avx512f", "avx512bw", "avx512dq", "avx512vl"));
    assertThat(Processor.here())
        .isEqualTo(
            new Processor(avx512, avx512 && all.contains("avx512_bf16"), all.contains("amx_bf16")));
  }

  @Test
  void code_runs() throws Throwable {
    assumeTrue(Processor.isLinuxOnX86(), "not Linux on x86-64");
    Assembler code = new Assembler();
    code.lea(Assembler.RAX, Assembler.Memory.indexed(Assembler.RDI, Assembler.RSI, 8));
    code.ret();
    MethodHandle function =
        Linker.nativeLinker()
            .downcallHandle(
                ExecutableMemory.of(code.toBytes()).orElseThrow(),
                FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
    assertThat((long) function.invokeExact(2L, 5L)).isEqualTo(42);
  }
}
