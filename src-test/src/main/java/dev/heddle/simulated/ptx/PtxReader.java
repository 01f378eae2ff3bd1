package dev.heddle.simulated.ptx;

import dev.heddle.simulated.ptx.PtxLexer.Kind;
import dev.heddle.simulated.ptx.PtxLexer.Token;
import java.util.ArrayList;
import java.util.List;

/** A place in the tokens of a module, and what is common to all that is read from there. */
final class PtxReader {
  private final String module;
  private final List<String> lines;
  private final List<Token> tokens;
  private int position;

  PtxReader(String module, String text) {
    this.module = module;
    this.lines = text.lines().toList();
    this.tokens = PtxLexer.tokens(module, text);
  }

  Token peek() {
    return tokens.get(position);
  }

  Token peek(int ahead) {
    return tokens.get(Math.min(position + ahead, tokens.size() - 1));
  }

  Token next() {
    Token token = tokens.get(position);
    if (token.kind() != Kind.END) {
      position++;
    }
    return token;
  }

  boolean at(String sign) {
    return peek().is(sign);
  }

  boolean take(String sign) {
    boolean there = at(sign);
    if (there) {
      next();
    }
    return there;
  }

  void expect(String sign) {
    if (!take(sign)) {
      throw fail("'" + sign + "' wanted, not '" + peek().text() + "'");
    }
  }

  String word(String what) {
    Token token = next();
    if (token.kind() != Kind.WORD) {
      throw fail(token.line(), what + " wanted, not '" + token.text() + "'");
    }
    return token.text();
  }

  void skipLine() {
    int line = peek().line();
    while (peek().line() == line && peek().kind() != Kind.END) {
      next();
    }
  }

  String lineText(int line) {
    return line >= 1 && line <= lines.size() ? lines.get(line - 1).strip() : "";
  }

  PtxException fail(String reason) {
    return fail(peek().line(), reason);
  }

  PtxException fail(int line, String reason) {
    return new PtxException(module, line, lineText(line), reason);
  }

  /** A number, with its sign. */
  PtxOperand.Immediate number() {
    boolean negative = take("-");
    Token token = next();
    if (token.kind() != Kind.NUMBER) {
      throw fail(token.line(), "number wanted, not '" + token.text() + "'");
    }
    PtxOperand.Immediate value;
    try {
      value = immediate(token.text());
    } catch (NumberFormatException e) {
      throw fail(token.line(), "'" + token.text() + "' is no number that PTX knows");
    }
    if (!negative) {
      return value;
    }
    long bits =
        switch (value.form()) {
          case INTEGER -> -value.bits();
          case SINGLE -> value.bits() ^ 0x8000_0000L;
          case DOUBLE -> value.bits() ^ Long.MIN_VALUE;
        };
    return new PtxOperand.Immediate(bits, value.form());
  }

  private static PtxOperand.Immediate immediate(String text) {
    String head = text.length() > 2 ? text.substring(0, 2) : "";
    return switch (head) {
      case "0f", "0F" ->
          new PtxOperand.Immediate(
              Long.parseLong(text.substring(2), 16), PtxOperand.Immediate.Form.SINGLE);
      case "0d", "0D" ->
          new PtxOperand.Immediate(
              Long.parseUnsignedLong(text.substring(2), 16), PtxOperand.Immediate.Form.DOUBLE);
      default ->
          text.contains(".")
              ? new PtxOperand.Immediate(
                  Double.doubleToRawLongBits(Double.parseDouble(text)),
                  PtxOperand.Immediate.Form.DOUBLE)
              : new PtxOperand.Immediate(integer(text, head), PtxOperand.Immediate.Form.INTEGER);
    };
  }

  private static long integer(String text, String head) {
    String digits = text.endsWith("U") ? text.substring(0, text.length() - 1) : text;
    return switch (head) {
      case "0x", "0X" -> Long.parseUnsignedLong(digits.substring(2), 16);
      case "0b", "0B" -> Long.parseUnsignedLong(digits.substring(2), 2);
      default ->
          digits.length() > 1 && digits.startsWith("0")
              ? Long.parseUnsignedLong(digits, 8)
              : Long.parseUnsignedLong(digits);
    };
  }

  int integer() {
    PtxOperand.Immediate value = number();
    if (value.form() != PtxOperand.Immediate.Form.INTEGER || value.bits() != (int) value.bits()) {
      throw fail("an integer that fits 32 bits is wanted");
    }
    return (int) value.bits();
  }

  PtxType type(String what) {
    String name = word(what);
    PtxType type = name.startsWith(".") ? PtxType.of(name.substring(1)) : null;
    if (type == null) {
      throw fail(what + " wanted; '" + name + "' is no type that is supported");
    }
    return type;
  }

  /**
   * A variable's declaration from its alignment to its initialiser, the space having been read.
   * Takes no semicolon or comma.
   */
  PtxVariable variable(PtxVariable.Space space, boolean external) {
    int alignment = 0;
    PtxType type = null;
    boolean pointer = false;
    while (peek().kind() == Kind.WORD && peek().text().startsWith(".")) {
      switch (peek().text()) {
        case ".align" -> {
          next();
          alignment = Math.max(alignment, pointer ? 0 : integer());
          if (pointer) {
            integer();
          }
        }
        case ".ptr" -> {
          next();
          pointer = true;
        }
        case ".global", ".shared", ".const", ".local" -> {
          if (!pointer) {
            throw fail("'" + peek().text() + "' is out of place");
          }
          next();
        }
        default -> {
          if (type != null) {
            throw fail("'" + peek().text() + "' in a declaration is not supported");
          }
          type = type("type of a variable");
        }
      }
    }
    if (type == null || type == PtxType.PRED) {
      throw fail("a variable needs a type that memory can hold");
    }
    String name = word("name of a variable");
    long elements = 1;
    boolean unsized = false;
    while (take("[")) {
      if (at("]")) {
        unsized = true;
        elements = 0;
      } else {
        elements *= integer();
      }
      expect("]");
    }
    if (unsized && !external) {
      throw fail("array " + name + " needs a size");
    }
    long byteSize = elements * type.bytes();
    byte[] initial = take("=") ? initial(type, byteSize) : new byte[0];
    return new PtxVariable(
        name, space, type, Math.max(alignment, type.bytes()), byteSize, -1, initial);
  }

  private byte[] initial(PtxType type, long byteSize) {
    List<Long> values = new ArrayList<>();
    boolean braces = take("{");
    do {
      if (peek().kind() == Kind.WORD) {
        throw fail("initialisers that are addresses are not supported: '" + peek().text() + "'");
      }
      values.add(bitsAs(type, number()));
    } while (braces && take(","));
    if (braces) {
      expect("}");
    }
    byte[] bytes = new byte[(int) byteSize];
    if ((long) values.size() * type.bytes() > byteSize) {
      throw fail("more initial values than the variable has elements");
    }
    for (int i = 0; i < values.size(); i++) {
      for (int b = 0; b < type.bytes(); b++) {
        bytes[i * type.bytes() + b] = (byte) (values.get(i) >>> (8 * b));
      }
    }
    return bytes;
  }

  private long bitsAs(PtxType type, PtxOperand.Immediate value) {
    return switch (value.form()) {
      case INTEGER -> {
        if (type.isFloat()) {
          throw fail("a floating-point variable with an integer's initial value");
        }
        yield value.bits();
      }
      case SINGLE -> type.bits() == 64 ? widened(value.bits()) : value.bits();
      case DOUBLE -> type.bits() == 32 ? narrowed(value.bits()) : value.bits();
    };
  }

  private static long widened(long bits) {
    return Double.doubleToRawLongBits(Float.intBitsToFloat((int) bits));
  }

  private static long narrowed(long bits) {
    return Float.floatToRawIntBits((float) Double.longBitsToDouble(bits));
  }
}
