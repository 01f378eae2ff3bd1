package dev.heddle.simulated.ptx;

import dev.heddle.simulated.ptx.PtxVariable.Space;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Makes a kernel of a function: puts the bodies of device functions in place of the calls to them,
 * numbers all registers anew and gives variables their places. A call's {@code .param} variables
 * become local memory.
 */
final class PtxInliner {
  private final PtxModule module;
  private final PtxParser parsed;
  private final PtxLayout layout = new PtxLayout();
  private final List<PtxRegister> registers = new ArrayList<>();
  private final List<PtxInstruction> instructions = new ArrayList<>();
  private final Deque<String> callers = new ArrayDeque<>();

  PtxInliner(PtxModule module, PtxParser parsed) {
    this.module = module;
    this.parsed = parsed;
  }

  PtxKernel kernel(PtxFunction function) {
    addShared(function);
    layout.finishShared();
    IdentityHashMap<PtxVariable, PtxVariable> places = new IdentityHashMap<>();
    function.parameters().forEach(parameter -> places.put(parameter, parameter));
    new Body(function, places).expand();
    List<PtxParameter> parameters =
        function.parameters().stream()
            .map(
                each ->
                    new PtxParameter(
                        each.name(),
                        each.type(),
                        (int) each.offset(),
                        (int) each.byteSize(),
                        each.alignment()))
            .toList();
    return new PtxKernel(
        module,
        function.name(),
        parameters,
        layout,
        function.maxThreads(),
        function.requiredBlock(),
        registers,
        instructions);
  }

  /** Makes room for every shared variable that the function or one it calls names. */
  private void addShared(PtxFunction function) {
    if (callers.contains(function.name())) {
      throw parsed
          .reader()
          .fail(
              function.instructions().isEmpty() ? 1 : function.instructions().getFirst().line(),
              "function " + function.name() + " calls itself, which is not supported");
    }
    callers.push(function.name());
    for (PtxInstruction instruction : function.instructions()) {
      for (PtxOperand operand : instruction.operands()) {
        switch (operand) {
          case PtxOperand.Symbol symbol when symbol.variable().space() == Space.SHARED ->
              layout.addShared(symbol.variable());
          case PtxOperand.Address address
              when address.variable() != null && address.variable().space() == Space.SHARED ->
              layout.addShared(address.variable());
          case PtxOperand.Call call -> addShared(callee(call, instruction));
          default -> {}
        }
      }
    }
    callers.pop();
  }

  private PtxFunction callee(PtxOperand.Call call, PtxInstruction instruction) {
    PtxFunction callee = parsed.functions().get(call.function());
    if (callee == null || callee.isKernel()) {
      throw parsed
          .reader()
          .fail(
              instruction.line(),
              "calls "
                  + call.function()
                  + ", which this module does not define; printf, assert and linking are not"
                  + " supported");
    }
    return callee;
  }

  /** One use of a function's body. */
  private final class Body {
    private final PtxFunction function;
    private final IdentityHashMap<PtxVariable, PtxVariable> places;
    private final int firstRegister = registers.size();
    private final int[] starts;
    private final List<Integer> jumps = new ArrayList<>();

    Body(PtxFunction function, IdentityHashMap<PtxVariable, PtxVariable> places) {
      this.function = function;
      this.places = places;
      this.starts = new int[function.instructions().size() + 1];
      for (PtxRegister register : function.registers()) {
        registers.add(new PtxRegister(register.name(), register.type(), registers.size()));
      }
    }

    void expand() {
      List<PtxInstruction> body = function.instructions();
      for (int i = 0; i < body.size(); i++) {
        starts[i] = instructions.size();
        add(body.get(i));
      }
      starts[body.size()] = instructions.size();
      for (int index : jumps) {
        instructions.set(index, withTargets(instructions.get(index)));
      }
    }

    private void add(PtxInstruction instruction) {
      if (instruction.operands().size() == 1
          && instruction.operands().getFirst() instanceof PtxOperand.Call call) {
        if (instruction.guard() != null) {
          throw parsed
              .reader()
              .fail(instruction.line(), "calls under a predicate are not supported");
        }
        PtxFunction callee = callee(call, instruction);
        if (call.arguments().size() != callee.parameters().size()
            || call.results().size() != callee.results().size()) {
          throw parsed.reader().fail(instruction.line(), "a call with another number of arguments");
        }
        IdentityHashMap<PtxVariable, PtxVariable> actuals = new IdentityHashMap<>();
        for (int i = 0; i < call.arguments().size(); i++) {
          actuals.put(callee.parameters().get(i), place(call.arguments().get(i)));
        }
        for (int i = 0; i < call.results().size(); i++) {
          actuals.put(callee.results().get(i), place(call.results().get(i)));
        }
        new Body(callee, actuals).expand();
        return;
      }
      boolean returns = instruction.opcode().equals("ret") && !function.isKernel();
      List<PtxOperand> operands =
          returns
              ? List.of(new PtxOperand.Label("return", function.instructions().size()))
              : instruction.operands().stream().map(this::mapped).toList();
      if (operands.stream()
          .anyMatch(
              each -> each instanceof PtxOperand.Label || each instanceof PtxOperand.Targets)) {
        jumps.add(instructions.size());
      }
      instructions.add(
          new PtxInstruction(
              instruction.line(),
              instruction.text(),
              mapped(instruction.guard()),
              instruction.guardNegated(),
              returns ? "bra" : instruction.opcode(),
              returns ? List.of() : instruction.modifiers(),
              operands));
    }

    private PtxInstruction withTargets(PtxInstruction instruction) {
      return new PtxInstruction(
          instruction.line(),
          instruction.text(),
          instruction.guard(),
          instruction.guardNegated(),
          instruction.opcode(),
          instruction.modifiers(),
          instruction.operands().stream().map(this::withTargets).toList());
    }

    private PtxOperand withTargets(PtxOperand operand) {
      return switch (operand) {
        case PtxOperand.Label label -> new PtxOperand.Label(label.name(), starts[label.target()]);
        case PtxOperand.Targets targets ->
            new PtxOperand.Targets(targets.labels().stream().map(this::withTargets).toList());
        default -> operand;
      };
    }

    private @Nullable PtxRegister mapped(@Nullable PtxRegister register) {
      return register == null ? null : registers.get(firstRegister + register.index());
    }

    private PtxOperand mapped(PtxOperand operand) {
      return switch (operand) {
        case PtxOperand.Register register ->
            new PtxOperand.Register(
                registers.get(firstRegister + register.register().index()), register.negated());
        case PtxOperand.Vector vector ->
            new PtxOperand.Vector(vector.elements().stream().map(this::mapped).toList());
        case PtxOperand.Pair pair ->
            new PtxOperand.Pair(mapped(pair.first()), mapped(pair.second()));
        case PtxOperand.Symbol symbol ->
            new PtxOperand.Symbol(place(symbol.variable()), symbol.offset());
        case PtxOperand.Address address ->
            new PtxOperand.Address(
                mapped(address.register()),
                address.variable() == null ? null : place(address.variable()),
                address.offset());
        default -> operand;
      };
    }

    private PtxVariable place(PtxVariable variable) {
      return switch (variable.space()) {
        case GLOBAL, CONST -> variable;
        case SHARED -> layout.placedShared(variable);
        case LOCAL, PARAM -> {
          PtxVariable placed = places.get(variable);
          if (placed == null) {
            placed = layout.placeLocal(variable);
            places.put(variable, placed);
          }
          yield placed;
        }
      };
    }
  }
}
