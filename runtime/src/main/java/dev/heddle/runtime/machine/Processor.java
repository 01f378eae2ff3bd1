package dev.heddle.runtime.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Locale;
import java.util.Optional;

/**
 * What this processor can execute, as it says itself: by its instruction {@code CPUID}, run as code
 * of our own.
 *
 * @param avx512 whether it has vectors of 512 bits with the instructions for F32, bytes and halves
 *     of words (AVX-512 F, BW, DQ and VL), and the system keeps their registers
 * @param bf16 whether it multiplies bf16 in them, too
 * @param matrixUnits whether it has units that multiply matrices of bf16 (AMX), which {@link
 *     Assembler} has no instructions for
 */
public record Processor(boolean avx512, boolean bf16, boolean matrixUnits) {
  /** Set to {@code off} so that no machine code of Heddle's own is made or run. */
  public static final String PROPERTY = "heddle.machineCode";

  private static final Processor NOTHING = new Processor(false, false, false);

  // Bits of CPUID's answers: leaf 1 ECX, leaf 7 EBX and EDX, leaf 7.1 EAX; of the control register
  // XCR0.
  private static final int SAVES_REGISTERS = 1 << 27;
  private static final int AVX512 = 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31;
  private static final int AVX512_BF16 = 1 << 5;
  private static final int AMX_BF16 = 1 << 22;
  private static final int VECTOR_STATE = 0xE6;

  private static final int LEAF_COUNT = 0;
  private static final int LEAF_FEATURES = 1;
  private static final int LEAF_MORE_FEATURES = 7;
  private static final int REGISTERS = 4;

  /** Apart, so that it is asked once. */
  private static final class Here {
    static final Processor PROCESSOR = ask();
  }

  /** This processor; one without anything where code cannot be run or is switched off. */
  public static Processor here() {
    return Here.PROCESSOR;
  }

  /** Whether code as {@link Assembler} writes it, with arguments as Linux passes them, can run. */
  static boolean isLinuxOnX86() {
    String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
    String processor = System.getProperty("os.arch", "");
    return system.equals("linux") && (processor.equals("amd64") || processor.equals("x86_64"));
  }

  private static Processor ask() {
    if (System.getProperty(PROPERTY, "").equals("off") || !isLinuxOnX86()) {
      return NOTHING;
    }
    Optional<MemorySegment> code = ExecutableMemory.of(questions());
    if (code.isEmpty()) {
      return NOTHING;
    }
    MethodHandle call =
        Linker.nativeLinker()
            .downcallHandle(
                code.get(),
                FunctionDescriptor.ofVoid(
                    ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.ADDRESS));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment answer = arena.allocate(ValueLayout.JAVA_LONG, REGISTERS + 1);
      if (leaf(call, LEAF_COUNT, 0, answer, 0) < LEAF_MORE_FEATURES
          || (leaf(call, LEAF_FEATURES, 0, answer, 2) & SAVES_REGISTERS) == 0) {
        return NOTHING;
      }
      int more = leaf(call, LEAF_MORE_FEATURES, 0, answer, 1);
      boolean matrixUnits = (leaf(call, LEAF_MORE_FEATURES, 0, answer, 3) & AMX_BF16) != 0;
      int subLeaves = leaf(call, LEAF_MORE_FEATURES, 0, answer, 0);
      int last = subLeaves >= 1 ? leaf(call, LEAF_MORE_FEATURES, 1, answer, 0) : 0;
      MethodHandle state =
          Linker.nativeLinker()
              .downcallHandle(
                  ExecutableMemory.of(stateQuestion()).orElseThrow(),
                  FunctionDescriptor.of(ValueLayout.JAVA_INT));
      boolean saved = ((int) state.invokeExact() & VECTOR_STATE) == VECTOR_STATE;
      boolean avx512 = saved && (more & AVX512) == AVX512;
      return new Processor(avx512, avx512 && (last & AVX512_BF16) != 0, matrixUnits);
    } catch (Throwable thrown) {
      throw new IllegalStateException("Processor: asking what it can do failed", thrown);
    }
  }

  private static int leaf(MethodHandle call, long leaf, long subLeaf, MemorySegment to, int which)
      throws Throwable {
    call.invokeExact(leaf, subLeaf, to);
    return (int) to.getAtIndex(ValueLayout.JAVA_LONG, which);
  }

  /** void (long leaf, long subLeaf, long[] eaxEbxEcxEdx). */
  private static byte[] questions() {
    Assembler a = new Assembler();
    a.push(Assembler.RBX);
    a.mov(Assembler.R8, Assembler.RDX);
    a.mov(Assembler.RAX, Assembler.RDI);
    a.mov(Assembler.RCX, Assembler.RSI);
    a.cpuid();
    int[] registers = {Assembler.RAX, Assembler.RBX, Assembler.RCX, Assembler.RDX};
    for (int i = 0; i < REGISTERS; i++) {
      a.mov(Assembler.Memory.at(Assembler.R8, i * Long.BYTES), registers[i]);
    }
    a.pop(Assembler.RBX);
    a.ret();
    return a.toBytes();
  }

  /** int (): the lower half of XCR0. */
  private static byte[] stateQuestion() {
    Assembler a = new Assembler();
    a.clear(Assembler.RCX);
    a.xgetbv();
    a.ret();
    return a.toBytes();
  }
}
