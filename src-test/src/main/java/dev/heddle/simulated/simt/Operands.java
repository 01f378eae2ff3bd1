package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxException;
import dev.heddle.simulated.ptx.PtxInstruction;
import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxRegister;
import dev.heddle.simulated.ptx.PtxType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * An instruction while it is decoded: its modifiers, taken one by one, and its operands, turned
 * into rows. What is not taken when decoding ends is not understood, and refused. Notes which
 * registers are read and which written.
 */
final class Operands {
  /** A predicate that is read, or its opposite. */
  record Predicate(int place, boolean negated) {}

  private final Decoder decoder;
  private final PtxInstruction instruction;
  private final List<String> modifiers;
  private final Set<PtxRegister> reads = new LinkedHashSet<>();
  private final Set<PtxRegister> writes = new LinkedHashSet<>();

  Operands(Decoder decoder, PtxInstruction instruction) {
    this.decoder = decoder;
    this.instruction = instruction;
    this.modifiers = new ArrayList<>(instruction.modifiers());
  }

  Decoder decoder() {
    return decoder;
  }

  String opcode() {
    return instruction.opcode();
  }

  /** What names the instruction among all others: opcode and modifiers. */
  String mnemonic() {
    return instruction.mnemonic();
  }

  Set<PtxRegister> reads() {
    return reads;
  }

  Set<PtxRegister> writes() {
    return writes;
  }

  PtxException refuse(String reason) {
    return decoder.refuse(instruction, reason);
  }

  // Modifiers

  boolean take(String modifier) {
    return modifiers.remove(modifier);
  }

  boolean has(String modifier) {
    return modifiers.contains(modifier);
  }

  /** The first of these that is there, taken; or null. */
  @Nullable String takeOneOf(String... choices) {
    for (String choice : choices) {
      if (modifiers.remove(choice)) {
        return choice;
      }
    }
    return null;
  }

  /** Like {@link #takeOneOf}, and one must be there. */
  String want(String... choices) {
    String found = takeOneOf(choices);
    if (found == null) {
      throw refuse("one of " + Arrays.toString(choices) + " is wanted");
    }
    return found;
  }

  /** The first type among the modifiers, taken. */
  PtxType type() {
    for (String modifier : modifiers) {
      PtxType type = PtxType.of(modifier);
      if (type != null) {
        modifiers.remove(modifier);
        return type;
      }
    }
    throw refuse("a type is wanted");
  }

  /** Like {@link #type}, and one of these. */
  PtxType type(PtxType... allowed) {
    PtxType type = type();
    if (!Arrays.asList(allowed).contains(type)) {
      throw refuse("type " + type + " is not supported here");
    }
    return type;
  }

  /** The modifier at the front, taken. */
  String first() {
    if (modifiers.isEmpty()) {
      throw refuse("a modifier is missing");
    }
    return modifiers.removeFirst();
  }

  void done() {
    if (!modifiers.isEmpty()) {
      throw refuse("modifiers " + modifiers + " are not supported here");
    }
  }

  // Operands

  int count() {
    return instruction.operands().size();
  }

  void wantCount(int count) {
    if (count() != count) {
      throw refuse(count + " operands are wanted, not " + count());
    }
  }

  PtxOperand get(int index) {
    if (index >= count()) {
      throw refuse("operand " + (index + 1) + " is missing");
    }
    return instruction.operands().get(index);
  }

  /** The row, narrow or wide as the type says, of a source. */
  int source(int index, PtxType type) {
    return source(get(index), type);
  }

  int source(PtxOperand operand, PtxType type) {
    boolean wide = type.bits() == 64;
    return switch (operand) {
      case PtxOperand.Register register -> {
        if (register.negated() || register.register().type().bits() != type.bits()) {
          throw refuse(
              "register "
                  + register.register().name()
                  + " of type "
                  + register.register().type()
                  + " where "
                  + type
                  + " is wanted");
        }
        yield read(register.register());
      }
      case PtxOperand.Immediate immediate -> constant(bits(immediate, type), type);
      case PtxOperand.Symbol symbol -> constant(decoder.address(symbol), type);
      case PtxOperand.Special special -> {
        SpecialRegister register = SpecialRegister.of(special.name());
        if (register == null || wide || type.bits() != 32) {
          throw refuse("special register " + special.name() + " is not supported here");
        }
        yield decoder.rows().special(register);
      }
      default -> throw refuse("an operand of another kind is wanted than " + operand);
    };
  }

  int read(PtxRegister register) {
    reads.add(register);
    return decoder.rows().place(register);
  }

  /** The row of a constant. */
  int constant(long bits, PtxType type) {
    return type.bits() == 64
        ? decoder.rows().wideConstant(bits)
        : decoder.rows().narrowConstant(type.bits() == 32 ? (int) bits : (int) bits & 0xFFFF);
  }

  /** What an immediate is in this type. */
  long bits(PtxOperand.Immediate immediate, PtxType type) {
    return switch (immediate.form()) {
      case INTEGER -> immediate.bits();
      case SINGLE -> {
        if (type.bits() == 64) {
          yield Double.doubleToRawLongBits(Float.intBitsToFloat((int) immediate.bits()));
        }
        if (type.bits() != 32) {
          throw refuse("a 32-bit floating-point number where " + type + " is wanted");
        }
        yield immediate.bits();
      }
      case DOUBLE -> {
        if (type.bits() == 32) {
          yield Float.floatToRawIntBits((float) Double.longBitsToDouble(immediate.bits()));
        }
        if (type.bits() != 64) {
          throw refuse("a 64-bit floating-point number where " + type + " is wanted");
        }
        yield immediate.bits();
      }
    };
  }

  /** The row of a result. */
  int result(int index, PtxType type) {
    return result(get(index), type);
  }

  int result(PtxOperand operand, PtxType type) {
    if (operand instanceof PtxOperand.Sink) {
      return type.bits() == 64 ? decoder.rows().wideSink() : decoder.rows().narrowSink();
    }
    PtxRegister register = resultRegister(operand);
    if (register.type().bits() != type.bits()) {
      throw refuse(
          "result register %s of type %s where %s is wanted"
              .formatted(register.name(), register.type(), type));
    }
    return decoder.rows().place(register);
  }

  /** A register that is written. */
  PtxRegister resultRegister(PtxOperand operand) {
    if (operand instanceof PtxOperand.Register register && !register.negated()) {
      writes.add(register.register());
      return register.register();
    }
    throw refuse("a register is wanted for the result, not " + operand);
  }

  /** The number of a predicate that is written; 0, which nobody reads, for none. */
  int predicateResult(PtxOperand operand) {
    if (operand instanceof PtxOperand.Sink) {
      return 0;
    }
    return result(operand, PtxType.PRED);
  }

  /** A predicate that is read. */
  Predicate predicate(PtxOperand operand) {
    if (operand instanceof PtxOperand.Register register && register.register().isPredicate()) {
      return new Predicate(read(register.register()), register.negated());
    }
    throw refuse("a predicate register is wanted, not " + operand);
  }

  /** An immediate integer. */
  long immediate(PtxOperand operand) {
    if (operand instanceof PtxOperand.Immediate immediate
        && immediate.form() == PtxOperand.Immediate.Form.INTEGER) {
      return immediate.bits();
    }
    throw refuse("an integer in the text is wanted, not " + operand);
  }

  /** The elements of a vector, or the operand alone. */
  List<PtxOperand> elements(PtxOperand operand) {
    return operand instanceof PtxOperand.Vector vector ? vector.elements() : List.of(operand);
  }
}
