package dev.heddle.jmh;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What the way into native code costs: C's {@code abs}, called as a binding calls a function that
 * may block, as one calls a function that is short, and, for comparison, not at all.
 */
// A call is some nanoseconds, less than reading the clock once: averages over many are the only
// way.
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
// The stub behind a handle is compiled within the first second; the rest is for the loop around it.
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
// Downcalls need the permission, as in any program that uses Heddle.
@Fork(value = 1, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
// A thread calls; nothing is shared.
@State(Scope.Thread)
public class DowncallBenchmark {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final FunctionDescriptor INT_TO_INT = FunctionDescriptor.of(JAVA_INT, JAVA_INT);
  private static final MemorySegment ABS = LINKER.defaultLookup().find("abs").orElseThrow();

  // Constants, as the bindings have them: a handle that the compiler does not know costs ten times
  // as much.
  private static final MethodHandle ORDINARY = LINKER.downcallHandle(ABS, INT_TO_INT);
  private static final MethodHandle CRITICAL =
      LINKER.downcallHandle(ABS, INT_TO_INT, Linker.Option.critical(false));

  /** Not final, or the compiler would compute the answer. */
  private int argument = -7;

  /** Calls each once and checks what it says. */
  @Setup(Level.Trial)
  public void prepare() throws Throwable {
    if (ordinary() != 7 || critical() != 7 || inJava() != 7) {
      throw new IllegalStateException("abs(-7) is not 7");
    }
  }

  /** As functions are called that may wait: the thread changes its state around the call. */
  @Benchmark
  public int ordinary() throws Throwable {
    return (int) ORDINARY.invokeExact(argument);
  }

  /** As short functions are called that never wait: the collector waits for the thread instead. */
  @Benchmark
  public int critical() throws Throwable {
    return (int) CRITICAL.invokeExact(argument);
  }

  /** The same without leaving Java: what the loop itself costs. */
  @Benchmark
  public int inJava() {
    return Math.abs(argument);
  }
}
