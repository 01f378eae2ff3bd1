package dev.heddle.runtime.cpu;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.machine.Processor;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.machine.VectorProgram.Value;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Element-wise functions of contiguous arrays by machine code, for what a training step is full of;
 * each is made when it is first used. Bits are those of the loops in Java, which serve where there
 * is no such code; but for GELU, whose tables ({@link MachineGelu}) Java has no instructions for.
 * What it brings: C2 compiles each such loop for 20 to 100 ms, which a program that starts has to
 * wait for, and for functions as long as GELU's gradient it leaves calls in the loop in some runs
 * and not in others.
 */
final class MachineLoops {
  private static final int OPERATIONS = UnaryOperation.values().length;

  private static final @Nullable MachineLoops HERE =
      Lanes.LENGTH == TileCode.LANES && Processor.here().avx512() ? new MachineLoops() : null;

  // By operation and type. Made twice if two threads are first at the same time, which does no
  // harm.
  private final @Nullable VectorLoop[] unary = new VectorLoop[2 * OPERATIONS];
  private final @Nullable VectorLoop[] unaryBackward = new VectorLoop[2 * OPERATIONS];
  private final @Nullable VectorLoop[] binary = new VectorLoop[2 * BinaryOperation.values().length];
  private final @Nullable VectorLoop[] adamW = new VectorLoop[3];

  private MachineLoops() {}

  /** The loops; null if this machine cannot run them. */
  static @Nullable MachineLoops here() {
    return HERE;
  }

  /** y = op(x), of arrays x and y; null where there is no such code. */
  @Nullable VectorLoop unary(UnaryOperation op, Type type) {
    return switch (op) {
      case GELU -> get(unary, op.ordinal(), type, () -> MachineGelu.forward(type));
      case SILU -> get(unary, op.ordinal(), type, () -> unary(type, MachineMath::silu));
      default -> null;
    };
  }

  /** dx = op'(x) dy, of arrays x, dy and dx; null where there is no such code. */
  @Nullable VectorLoop unaryBackward(UnaryOperation op, Type type) {
    return switch (op) {
      case GELU -> get(unaryBackward, op.ordinal(), type, () -> MachineGelu.backward(type));
      case SILU ->
          get(
              unaryBackward,
              op.ordinal(),
              type,
              () -> unaryBackward(type, MachineMath::siluDerivative));
      default -> null;
    };
  }

  /** y = op(a, b), of arrays a, b and y; null where there is no such code. */
  @Nullable VectorLoop binary(BinaryOperation op, Type type) {
    return switch (op) {
      case ADD -> get(binary, op.ordinal(), type, () -> binary(type, VectorProgram::add));
      case MULTIPLY -> get(binary, op.ordinal(), type, () -> binary(type, VectorProgram::multiply));
      default -> null;
    };
  }

  /**
   * The optimizer's sweep over a weight, its gradient, its first and second moments, and a copy of
   * the weight; {@link MachineAdamW} writes its scalars.
   *
   * @param gradients what gradients are, and the copy
   */
  VectorLoop adamW(Type gradients, boolean copies) {
    int kind = gradients == Type.F32 ? 0 : copies ? 2 : 1;
    @Nullable VectorLoop known = adamW[kind];
    if (known == null) {
      known = compiled(adamWProgram(gradients, copies));
      adamW[kind] = known;
    }
    return known;
  }

  private static VectorLoop get(
      @Nullable VectorLoop[] known, int operation, Type type, Supplier<VectorProgram> program) {
    int at = 2 * operation + type.ordinal();
    @Nullable VectorLoop loop = known[at];
    if (loop == null) {
      loop = compiled(program.get());
      known[at] = loop;
    }
    return loop;
  }

  private static VectorLoop compiled(VectorProgram program) {
    return program
        .compile()
        .orElseThrow(() -> new IllegalStateException("MachineLoops: no memory for code"));
  }

  @FunctionalInterface
  private interface Unary {
    Value of(MachineMath math, Value x);
  }

  @FunctionalInterface
  private interface Binary {
    Value of(VectorProgram program, Value a, Value b);
  }

  private static VectorProgram unary(Type type, Unary function) {
    VectorProgram program = new VectorProgram(type, type);
    program.storeResult(1, function.of(new MachineMath(program), program.load(0)));
    return program;
  }

  private static VectorProgram unaryBackward(Type type, Unary derivative) {
    VectorProgram program = new VectorProgram(type, type, type);
    Value slope = derivative.of(new MachineMath(program), program.load(0));
    program.storeResult(2, program.multiply(slope, program.load(1)));
    return program;
  }

  private static VectorProgram binary(Type type, Binary function) {
    VectorProgram program = new VectorProgram(type, type, type);
    program.storeResult(2, function.of(program, program.load(0), program.load(1)));
    return program;
  }

  private static VectorProgram adamWProgram(Type gradients, boolean copies) {
    VectorProgram program = new VectorProgram(Type.F32, gradients, Type.F32, Type.F32, gradients);
    Value scale = program.scalar();
    Value beta1 = program.scalar();
    Value beta2 = program.scalar();
    Value rest1 = program.scalar();
    Value rest2 = program.scalar();
    Value root = program.scalar();
    Value minusRate = program.scalar();
    Value epsilon = program.scalar();
    Value keep = program.scalar();
    Value gradient = program.multiply(program.load(1), scale);
    Value first =
        program.add(program.multiply(program.load(2), beta1), program.multiply(gradient, rest1));
    Value square = program.multiply(gradient, gradient);
    Value second =
        program.add(program.multiply(program.load(3), beta2), program.multiply(square, rest2));
    program.store(2, first);
    program.store(3, second);
    Value size = program.multiplyAdd(program.squareRoot(second), root, epsilon);
    Value kept = program.multiply(program.load(0), keep);
    Value updated = program.add(program.divide(program.multiply(first, minusRate), size), kept);
    program.store(0, updated);
    if (copies) {
      program.store(4, updated);
    }
    return program;
  }
}
