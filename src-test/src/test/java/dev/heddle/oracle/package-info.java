/**
 * Every operator, forward and backward, against libtorch.
 *
 * <p>libtorch is reached through DJL's PyTorch engine, from Maven artifacts, in the scope of these
 * tests only and without network ({@link dev.heddle.oracle.LibTorch}). It always computes in double
 * precision: it is a ruler, and a ruler should be finer than what it measures. {@link
 * dev.heddle.oracle.Oracle} draws inputs and an output gradient, runs the operator and its backward
 * on both sides, and compares the value and each gradient.
 *
 * <p>{@link dev.heddle.oracle.OperatorCase} is one line of a table: a name, the shapes, the
 * operator here and there. {@link dev.heddle.oracle.OperatorOracleTest} runs every line in F64 on
 * the reference kernels and in F32 on each fast table. {@link
 * dev.heddle.oracle.TinyModelOracleTest} trains a whole captioning model on both sides from the
 * same weights.
 *
 * <p>Inputs come from a seed that a failure prints; {@code -Dheddle.seed=N} repeats it. Where
 * libtorch cannot be loaded (another operating system) the tests are skipped and say why; on
 * linux-x86_64 that is a failure.
 */
package dev.heddle.oracle;
