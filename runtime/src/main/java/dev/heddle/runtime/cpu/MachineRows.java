package dev.heddle.runtime.cpu;

import dev.heddle.runtime.machine.Processor;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.machine.VectorProgram;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.machine.VectorProgram.Value;
import org.jspecify.annotations.Nullable;

/**
 * Loops over rows by machine code: those of attention's scores and of norms, with the bits of the
 * loops in Java, which serve where there is no such code. What it brings: one call is many rows, so
 * that the processor is in several at a time, and a row's end is a mask.
 */
final class MachineRows {
  private static final @Nullable MachineRows HERE =
      Lanes.LENGTH == TileCode.LANES && Processor.here().avx512() ? new MachineRows() : null;

  /** Of attention's scores, F32: the largest; of none the smallest number that there is. */
  final RowLoop maximum = maximum(false);

  /** The same of scores times a scalar. */
  final RowLoop scaledMaximum = maximum(true);

  /** Of scores x y = exp(x - scalar), for x that is nowhere larger; the sum. Arrays: x, y. */
  final RowLoop exponentials = exponentials();

  /**
   * Of F32 scores x exp(scale x - maximum) in bf16, for two scalars; the sum before rounding. Null
   * without instructions for bf16.
   */
  final @Nullable RowLoop roundedExponentials =
      Processor.here().bf16() ? roundedExponentials() : null;

  /** Scores become p = exp(x - logSumExp), their gradients p (gradient - delta): two scalars. */
  final RowLoop probabilities = probabilities();

  /**
   * Of scores x, gradients, and what differs by column, shifts and deltas: in bf16 p = exp(scale x
   * - shift), and scale p (gradient - delta). Null without instructions for bf16.
   */
  final @Nullable RowLoop roundedProbabilities =
      Processor.here().bf16() ? roundedProbabilities() : null;

  private final RowLoop[] normGradients = {
    normGradientsLoop(Type.F32), normGradientsLoop(Type.BF16)
  };
  private final RowLoop[] dots = {dotsLoop(Type.F32), dotsLoop(Type.BF16)};

  private MachineRows() {}

  /** The loops; null if this machine cannot run them. */
  static @Nullable MachineRows here() {
    return HERE;
  }

  /**
   * A norm's parameter gradients by pairs of rows; see {@link NormGradients#addPair}. Arrays: x of
   * the first and of the second row, dy likewise, weight, dw, db; scalars: mean and rstd of the
   * first, then of the second; results: Σ g and Σ g d of the first, then of the second.
   */
  RowLoop normGradients(Type type) {
    return normGradients[type.ordinal()];
  }

  /** Σ a b of rows a and b. */
  RowLoop dots(Type type) {
    return dots[type.ordinal()];
  }

  private static RowLoop compiled(VectorProgram program) {
    return program
        .compileRows()
        .orElseThrow(() -> new IllegalStateException("MachineRows: no memory for code"));
  }

  private static RowLoop maximum(boolean scaled) {
    VectorProgram program = VectorProgram.ofRows(Type.F32);
    Value x = scaled ? program.multiply(program.load(0), program.scalar()) : program.load(0);
    program.maximum(x, -Float.MAX_VALUE);
    return compiled(program);
  }

  private static RowLoop exponentials() {
    VectorProgram program = VectorProgram.ofRows(Type.F32, Type.F32);
    Value shift = program.scalar();
    Value e = new MachineMath(program).expOfNonPositive(program.subtract(program.load(0), shift));
    program.sum(e);
    program.store(1, e);
    return compiled(program);
  }

  private static RowLoop roundedExponentials() {
    VectorProgram program = VectorProgram.ofRows(Type.F32, Type.BF16);
    Value scale = program.scalar();
    Value shift = program.scalar();
    Value scaled = program.multiply(program.load(0), scale);
    Value e = new MachineMath(program).roughExp(program.subtract(scaled, shift));
    program.sum(e);
    program.storeNormal(1, e);
    return compiled(program);
  }

  private static RowLoop probabilities() {
    VectorProgram program = VectorProgram.ofRows(Type.F32, Type.F32);
    Value shift = program.scalar();
    Value delta = program.scalar();
    Value p = new MachineMath(program).expOfNonPositive(program.subtract(program.load(0), shift));
    program.store(0, p);
    program.store(1, program.multiply(program.subtract(program.load(1), delta), p));
    return compiled(program);
  }

  private static RowLoop roundedProbabilities() {
    VectorProgram program =
        VectorProgram.ofRows(Type.F32, Type.F32, Type.F32, Type.F32, Type.BF16, Type.BF16);
    Value scale = program.scalar();
    Value scaled = program.multiply(program.load(0), scale);
    Value p = new MachineMath(program).roughExp(program.subtract(scaled, program.load(2)));
    program.storeNormal(4, p);
    Value centered = program.subtract(program.load(1), program.load(3));
    program.storeNormal(5, program.multiply(program.multiply(centered, p), scale));
    return compiled(program);
  }

  private static RowLoop normGradientsLoop(Type type) {
    VectorProgram program =
        VectorProgram.ofRows(type, type, type, type, Type.F32, Type.F32, Type.F32);
    Value center0 = program.scalar();
    Value scale0 = program.scalar();
    Value center1 = program.scalar();
    Value scale1 = program.scalar();
    Value d0 = program.subtract(program.load(0), center0);
    Value y0 = program.load(2);
    Value dw = program.multiplyAdd(program.multiply(d0, scale0), y0, program.load(5));
    Value d1 = program.subtract(program.load(1), center1);
    Value y1 = program.load(3);
    program.store(5, program.multiplyAdd(program.multiply(d1, scale1), y1, dw));
    program.store(6, program.add(y1, program.add(y0, program.load(6))));
    Value weight = program.load(4);
    Value g0 = program.multiply(y0, weight);
    program.sum(g0);
    program.sumOfProducts(d0, g0);
    Value g1 = program.multiply(y1, weight);
    program.sum(g1);
    program.sumOfProducts(d1, g1);
    return compiled(program);
  }

  private static RowLoop dotsLoop(Type type) {
    VectorProgram program = VectorProgram.ofRows(type, type);
    program.sumOfProducts(program.load(0), program.load(1));
    return compiled(program);
  }
}
