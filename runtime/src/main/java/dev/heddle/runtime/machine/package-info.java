/**
 * Machine code that Heddle writes itself, for the few loops that the just-in-time compiler cannot
 * make as fast as the processor is: {@link dev.heddle.runtime.machine.Assembler} writes it, {@link
 * dev.heddle.runtime.machine.ExecutableMemory} makes it callable, {@link
 * dev.heddle.runtime.machine.Processor} says what may be used. {@link
 * dev.heddle.runtime.machine.VectorProgram} is a level above: a function of arrays' elements, that
 * becomes a {@link dev.heddle.runtime.machine.VectorLoop}, or of rows and their sums, that becomes
 * a {@link dev.heddle.runtime.machine.RowLoop}.
 *
 * <p>A function that returns {@code a + 8 b}, as {@code ProcessorTest} runs it:
 *
 * <pre>{@code
 * Assembler code = new Assembler();
 * code.lea(Assembler.RAX, Assembler.Memory.indexed(Assembler.RDI, Assembler.RSI, 8));
 * code.ret();
 * MethodHandle function =
 *     Linker.nativeLinker()
 *         .downcallHandle(
 *             ExecutableMemory.of(code.toBytes()).orElseThrow(),
 *             FunctionDescriptor.of(
 *                 ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
 * assertThat((long) function.invokeExact(2L, 5L)).isEqualTo(42);
 * }</pre>
 */
package dev.heddle.runtime.machine;
