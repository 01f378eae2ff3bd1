package dev.heddle.simulated.ptx;

import dev.heddle.simulated.ptx.PtxLexer.Kind;
import dev.heddle.simulated.ptx.PtxLexer.Token;
import dev.heddle.simulated.ptx.PtxVariable.Space;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Reads a function's body: declarations in nested scopes, labels and instructions. */
final class PtxBody {
  /** What nvcc's comment about a register becomes: it may be read from here on. */
  static final String IMPLICIT_DEFINITION = "implicit-def";

  /** What a scope, a pair of braces, declares. */
  private static final class Scope {
    final @Nullable Scope parent;
    final Map<String, PtxRegister> registers = new HashMap<>();
    final Map<String, PtxType> families = new HashMap<>();
    final Map<String, Integer> familySizes = new HashMap<>();
    final Map<String, PtxVariable> variables = new HashMap<>();
    final Map<String, Integer> labels = new HashMap<>();
    final Map<String, List<String>> targets = new HashMap<>();

    Scope(@Nullable Scope parent) {
      this.parent = parent;
    }
  }

  /** An instruction whose labels are still names, and the scope to look them up in. */
  private record Unresolved(PtxInstruction instruction, Scope scope) {}

  private final PtxReader reader;
  private final PtxParser module;
  private final List<PtxRegister> registers = new ArrayList<>();
  private final List<Unresolved> unresolved = new ArrayList<>();
  private Scope scope = new Scope(null);

  PtxBody(PtxReader reader, PtxParser module) {
    this.reader = reader;
    this.module = module;
  }

  void declare(PtxVariable variable) {
    scope.variables.put(variable.name(), variable);
  }

  List<PtxRegister> registers() {
    return registers;
  }

  List<PtxInstruction> instructions() {
    return unresolved.stream().map(this::resolved).toList();
  }

  void parse() {
    reader.expect("{");
    int depth = 1;
    while (depth > 0) {
      Token token = reader.peek();
      if (token.kind() == Kind.END) {
        throw reader.fail("a function without its closing brace");
      } else if (token.kind() == Kind.IMPLICIT_DEFINITION) {
        implicitDefinition(reader.next());
      } else if (reader.take("{")) {
        scope = new Scope(scope);
        depth++;
      } else if (reader.take("}")) {
        depth--;
        if (depth > 0 && scope.parent != null) {
          scope = scope.parent;
        }
      } else if (token.text().startsWith(".")) {
        directive();
      } else if (token.kind() == Kind.WORD && reader.peek(1).is(":")) {
        label();
      } else if (!reader.take(";")) {
        instruction();
      }
    }
  }

  private void implicitDefinition(Token token) {
    PtxRegister register = register(token.text());
    if (register != null) {
      unresolved.add(
          new Unresolved(
              new PtxInstruction(
                  token.line(),
                  reader.lineText(token.line()),
                  null,
                  false,
                  IMPLICIT_DEFINITION,
                  List.of(),
                  List.of(new PtxOperand.Register(register, false))),
              scope));
    }
  }

  private void directive() {
    String directive = reader.word("directive");
    switch (directive) {
      case ".reg" -> declareRegisters();
      case ".local", ".shared", ".param" -> {
        Space space =
            switch (directive) {
              case ".local" -> Space.LOCAL;
              case ".shared" -> Space.SHARED;
              default -> Space.PARAM;
            };
        declare(reader.variable(space, false));
        reader.expect(";");
      }
      case ".loc", ".file" -> reader.skipLine();
      case ".pragma" -> {
        reader.next();
        reader.expect(";");
      }
      default -> throw reader.fail("directive " + directive + " is not supported in a function");
    }
  }

  private void declareRegisters() {
    PtxType type = reader.type("type of a register");
    do {
      String name = reader.word("name of a register");
      if (reader.take("<")) {
        scope.families.put(name, type);
        scope.familySizes.put(name, reader.integer());
        reader.expect(">");
      } else {
        scope.registers.put(name, newRegister(name, type));
      }
    } while (reader.take(","));
    reader.expect(";");
  }

  private PtxRegister newRegister(String name, PtxType type) {
    PtxRegister register = new PtxRegister(name, type, registers.size());
    registers.add(register);
    return register;
  }

  private void label() {
    String name = reader.word("label");
    reader.expect(":");
    if (reader.at(".branchtargets")) {
      reader.next();
      List<String> names = new ArrayList<>();
      do {
        names.add(reader.word("label"));
      } while (reader.take(","));
      reader.expect(";");
      scope.targets.put(name, names);
    } else if (scope.labels.put(name, unresolved.size()) != null) {
      throw reader.fail("label " + name + " twice");
    }
  }

  private void instruction() {
    PtxRegister guard = null;
    boolean negated = false;
    if (reader.take("@")) {
      negated = reader.take("!");
      String name = reader.word("predicate");
      guard = register(name);
      if (guard == null || !guard.isPredicate()) {
        throw reader.fail(name + " is no predicate register");
      }
    }
    int line = reader.peek().line();
    List<String> parts = Arrays.asList(reader.word("instruction").split("\\."));
    List<PtxOperand> operands = new ArrayList<>();
    if (parts.getFirst().equals("call")) {
      operands.add(call());
    } else if (!reader.at(";")) {
      do {
        operands.add(operand());
      } while (reader.take(","));
    }
    reader.expect(";");
    unresolved.add(
        new Unresolved(
            new PtxInstruction(
                line,
                reader.lineText(line),
                guard,
                negated,
                parts.getFirst(),
                List.copyOf(parts.subList(1, parts.size())),
                operands),
            scope));
  }

  private PtxOperand call() {
    List<PtxVariable> results = reader.at("(") ? actuals() : List.of();
    if (!results.isEmpty()) {
      reader.expect(",");
    }
    String function = reader.word("name of a function");
    if (function.startsWith("%")) {
      throw reader.fail("calls through a register are not supported");
    }
    List<PtxVariable> arguments = reader.take(",") ? actuals() : List.of();
    return new PtxOperand.Call(results, function, arguments);
  }

  private List<PtxVariable> actuals() {
    List<PtxVariable> actuals = new ArrayList<>();
    reader.expect("(");
    while (!reader.take(")")) {
      if (!actuals.isEmpty()) {
        reader.expect(",");
      }
      String name = reader.word("argument");
      PtxVariable variable = variable(name);
      if (variable == null || variable.space() != Space.PARAM) {
        throw reader.fail("argument " + name + " is no .param variable; others are not supported");
      }
      actuals.add(variable);
    }
    return actuals;
  }

  private PtxOperand operand() {
    PtxOperand first = simpleOperand();
    return reader.take("|") ? new PtxOperand.Pair(first, simpleOperand()) : first;
  }

  private PtxOperand simpleOperand() {
    Token token = reader.peek();
    if (reader.take("{")) {
      List<PtxOperand> elements = new ArrayList<>();
      do {
        elements.add(operand());
      } while (reader.take(","));
      reader.expect("}");
      return new PtxOperand.Vector(elements);
    }
    if (reader.take("[")) {
      return address();
    }
    if (reader.take("!")) {
      String name = reader.word("predicate");
      PtxRegister register = register(name);
      if (register == null) {
        throw reader.fail(name + " is not declared");
      }
      return new PtxOperand.Register(register, true);
    }
    if (reader.at("-") || token.kind() == Kind.NUMBER) {
      return reader.number();
    }
    String name = reader.word("operand");
    if (name.equals("_")) {
      return new PtxOperand.Sink();
    }
    if (name.equals("WARP_SZ")) {
      return new PtxOperand.Immediate(32, PtxOperand.Immediate.Form.INTEGER);
    }
    PtxRegister register = register(name);
    if (register != null) {
      return new PtxOperand.Register(register, false);
    }
    PtxVariable variable = variable(name);
    if (variable != null) {
      return new PtxOperand.Symbol(variable, offset());
    }
    if (name.startsWith("%")) {
      if (name.matches("%[a-z]+\\d+")) {
        throw reader.fail("register " + name + " is not declared");
      }
      return new PtxOperand.Special(name);
    }
    return new PtxOperand.Label(name, -1);
  }

  private long offset() {
    if (reader.take("+")) {
      return reader.number().bits();
    }
    return reader.at("-") ? reader.number().bits() : 0;
  }

  private PtxOperand address() {
    PtxRegister register = null;
    PtxVariable variable = null;
    long offset = 0;
    if (reader.peek().kind() == Kind.NUMBER) {
      offset = reader.number().bits();
    } else {
      String name = reader.word("address");
      register = register(name);
      variable = register == null ? variable(name) : null;
      if (register == null && variable == null) {
        throw reader.fail("address " + name + " is neither a register nor a variable");
      }
      offset = offset();
    }
    reader.expect("]");
    return new PtxOperand.Address(register, variable, offset);
  }

  private @Nullable PtxRegister register(String name) {
    for (Scope at = scope; at != null; at = at.parent) {
      PtxRegister register = at.registers.get(name);
      if (register != null) {
        return register;
      }
      int digits = name.length();
      while (digits > 0 && Character.isDigit(name.charAt(digits - 1))) {
        digits--;
      }
      PtxType type = at.families.get(name.substring(0, digits));
      if (type != null && digits < name.length()) {
        int number = Integer.parseInt(name.substring(digits));
        if (number < at.familySizes.getOrDefault(name.substring(0, digits), 0)) {
          register = newRegister(name, type);
          at.registers.put(name, register);
          return register;
        }
      }
    }
    return null;
  }

  private @Nullable PtxVariable variable(String name) {
    for (Scope at = scope; at != null; at = at.parent) {
      PtxVariable variable = at.variables.get(name);
      if (variable != null) {
        return variable;
      }
    }
    PtxVariable shared = module.sharedVariables().get(name);
    return shared != null ? shared : module.moduleVariables().get(name);
  }

  private PtxInstruction resolved(Unresolved each) {
    PtxInstruction instruction = each.instruction;
    List<PtxOperand> operands = new ArrayList<>();
    for (PtxOperand operand : instruction.operands()) {
      operands.add(
          operand instanceof PtxOperand.Label label
              ? target(label.name(), each.scope, instruction)
              : operand);
    }
    return new PtxInstruction(
        instruction.line(),
        instruction.text(),
        instruction.guard(),
        instruction.guardNegated(),
        instruction.opcode(),
        instruction.modifiers(),
        operands);
  }

  private PtxOperand target(String name, Scope from, PtxInstruction instruction) {
    for (Scope at = from; at != null; at = at.parent) {
      Integer index = at.labels.get(name);
      if (index != null) {
        return new PtxOperand.Label(name, index);
      }
      List<String> names = at.targets.get(name);
      if (names != null) {
        return new PtxOperand.Targets(
            names.stream().map(each -> target(each, from, instruction)).toList());
      }
    }
    throw reader.fail(
        instruction.line(), name + " is declared nowhere: no register, variable or label");
  }
}
