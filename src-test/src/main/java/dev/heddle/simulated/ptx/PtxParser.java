package dev.heddle.simulated.ptx;

import dev.heddle.simulated.ptx.PtxLexer.Kind;
import dev.heddle.simulated.ptx.PtxVariable.Space;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Reads what is outside functions, and hands each function's body to a {@link PtxBody}. */
final class PtxParser {
  private static final Set<String> LINKAGE = Set.of(".visible", ".weak", ".common", ".extern");
  private static final List<Integer> TARGETS =
      List.of(75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121);

  private final PtxReader reader;
  private final Map<String, PtxVariable> moduleVariables = new LinkedHashMap<>();
  private final Map<String, PtxVariable> sharedVariables = new LinkedHashMap<>();
  private final Map<String, PtxFunction> functions = new LinkedHashMap<>();
  private String version = "";
  private String target = "";
  private long globalBytes;
  private long constBytes;

  PtxParser(String module, String text) {
    reader = new PtxReader(module, text);
  }

  String version() {
    return version;
  }

  String target() {
    return target;
  }

  PtxReader reader() {
    return reader;
  }

  int globalBytes() {
    return Math.toIntExact(globalBytes);
  }

  int constBytes() {
    return Math.toIntExact(constBytes);
  }

  Map<String, PtxVariable> moduleVariables() {
    return moduleVariables;
  }

  Map<String, PtxVariable> sharedVariables() {
    return sharedVariables;
  }

  Map<String, PtxFunction> functions() {
    return functions;
  }

  void parse() {
    boolean external = false;
    while (reader.peek().kind() != Kind.END) {
      String directive = reader.word("directive");
      if (LINKAGE.contains(directive)) {
        external |= directive.equals(".extern");
        continue;
      }
      switch (directive) {
        case ".version" -> version = reader.next().text();
        case ".target" -> readTarget();
        case ".address_size" -> {
          if (reader.integer() != 64) {
            throw reader.fail("only 64-bit addresses are supported");
          }
        }
        case ".file", ".loc" -> reader.skipLine();
        case ".pragma" -> {
          reader.next();
          reader.expect(";");
        }
        case ".section" -> skipSection();
        case ".global" -> moduleVariable(Space.GLOBAL, external);
        case ".const" -> moduleVariable(Space.CONST, external);
        case ".shared" -> sharedVariable(external);
        case ".entry" -> function(true);
        case ".func" -> function(false);
        default -> throw reader.fail("directive " + directive + " is not supported");
      }
      external = false;
    }
    if (version.isEmpty() || target.isEmpty()) {
      throw reader.fail(1, "a PTX module begins with .version and .target");
    }
  }

  private void readTarget() {
    target = reader.word("architecture");
    boolean known = TARGETS.stream().anyMatch(each -> target.equals("sm_" + each));
    if (!known) {
      throw reader.fail(
          "target " + target + " is not supported; compile for compute_75, 80, 90, 100 or 120");
    }
    while (reader.take(",")) {
      String option = reader.word("target option");
      if (!option.equals("debug")) {
        throw reader.fail("target option " + option + " is not supported");
      }
    }
  }

  private void skipSection() {
    while (!reader.at("{") && reader.peek().kind() != Kind.END) {
      reader.next();
    }
    while (!reader.at("}") && reader.peek().kind() != Kind.END) {
      reader.next();
    }
    reader.expect("}");
  }

  private void moduleVariable(Space space, boolean external) {
    PtxVariable variable = reader.variable(space, false);
    if (external) {
      throw reader.fail(variable.name() + " is in another module, and linking is not supported");
    }
    long offset =
        PtxLayout.aligned(space == Space.CONST ? constBytes : globalBytes, variable.alignment());
    if (space == Space.CONST) {
      constBytes = offset + variable.byteSize();
    } else {
      globalBytes = offset + variable.byteSize();
    }
    moduleVariables.put(variable.name(), variable.placedAt(offset));
    reader.expect(";");
  }

  private void sharedVariable(boolean external) {
    PtxVariable variable = reader.variable(Space.SHARED, external);
    sharedVariables.put(variable.name(), variable);
    reader.expect(";");
  }

  private void function(boolean kernel) {
    List<PtxVariable> results = new ArrayList<>();
    if (!kernel && reader.at("(")) {
      results.addAll(parameters());
    }
    String name = reader.word("name of a function");
    List<PtxVariable> parameters = reader.at("(") ? parameters() : List.of();
    int maxThreads = 0;
    List<Integer> requiredBlock = List.of();
    while (!reader.at("{") && !reader.at(";")) {
      String directive = reader.word("directive of a function");
      switch (directive) {
        case ".maxntid" -> maxThreads = integers().stream().reduce(1, (a, b) -> a * b);
        case ".reqntid" -> {
          requiredBlock = new ArrayList<>(integers());
          while (requiredBlock.size() < 3) {
            requiredBlock.add(1);
          }
        }
        case ".minnctapersm", ".maxnreg" -> integers();
        case ".noreturn" -> {}
        case ".pragma" -> {
          reader.next();
          reader.expect(";");
        }
        default -> throw reader.fail("directive " + directive + " is not supported");
      }
    }
    if (reader.take(";")) {
      return;
    }
    PtxBody body = new PtxBody(reader, this);
    parameters.forEach(body::declare);
    results.forEach(body::declare);
    body.parse();
    functions.put(
        name,
        new PtxFunction(
            name,
            kernel,
            results,
            parameters,
            maxThreads,
            requiredBlock,
            body.registers(),
            body.instructions()));
  }

  private List<Integer> integers() {
    List<Integer> values = new ArrayList<>();
    do {
      values.add(reader.integer());
    } while (reader.take(","));
    return values;
  }

  private List<PtxVariable> parameters() {
    List<PtxVariable> parameters = new ArrayList<>();
    reader.expect("(");
    long offset = 0;
    while (!reader.take(")")) {
      if (!parameters.isEmpty()) {
        reader.expect(",");
      }
      String space = reader.word("parameter");
      if (!space.equals(".param")) {
        throw reader.fail("parameters in " + space + " are not supported, only in .param");
      }
      PtxVariable parameter = reader.variable(Space.PARAM, false);
      offset = PtxLayout.aligned(offset, parameter.alignment());
      parameters.add(parameter.placedAt(offset));
      offset += parameter.byteSize();
    }
    return parameters;
  }
}
