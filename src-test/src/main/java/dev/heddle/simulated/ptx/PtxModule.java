package dev.heddle.simulated.ptx;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A module of PTX text: variables and kernels. Unchangeable. */
public final class PtxModule {
  private final String name;
  private final String version;
  private final String target;
  private final Map<String, PtxVariable> variables;
  private final int globalBytes;
  private final int constBytes;
  private final Map<String, PtxKernel> kernels = new LinkedHashMap<>();

  private PtxModule(String name, PtxParser parsed) {
    this.name = name;
    this.version = parsed.version();
    this.target = parsed.target();
    this.variables = parsed.moduleVariables();
    this.globalBytes = parsed.globalBytes();
    this.constBytes = parsed.constBytes();
    for (PtxFunction function : parsed.functions().values()) {
      if (function.isKernel()) {
        kernels.put(function.name(), new PtxInliner(this, parsed).kernel(function));
      }
    }
  }

  /**
   * Reads a module.
   *
   * @param name of the module in messages
   * @param text PTX as nvcc writes it
   * @throws PtxException for what is not understood. Whether an instruction means anything is only
   *     known when {@code Simulator.load} has decoded it
   */
  public static PtxModule parse(String name, String text) {
    PtxParser parser = new PtxParser(name, text);
    parser.parse();
    return new PtxModule(name, parser);
  }

  /** Its name in messages. */
  public String name() {
    return name;
  }

  /** The PTX version that it was written for, like {@code 9.0}. */
  public String version() {
    return version;
  }

  /** The architecture that it was compiled for, like {@code sm_75}. */
  public String target() {
    return target;
  }

  /** Its kernels in the order of the text. */
  public List<PtxKernel> kernels() {
    return new ArrayList<>(kernels.values());
  }

  /**
   * The kernel of this name.
   *
   * @throws IllegalArgumentException if there is none; names those that there are
   */
  public PtxKernel kernel(String kernel) {
    PtxKernel found = kernels.get(kernel);
    if (found == null) {
      throw new IllegalArgumentException(
          "module %s has no kernel %s; it has %s".formatted(name, kernel, kernels.keySet()));
    }
    return found;
  }

  /** Its global and const variables, with their offsets. */
  public List<PtxVariable> variables() {
    return List.copyOf(variables.values());
  }

  /** Size in bytes of all its global variables. */
  public int globalBytes() {
    return globalBytes;
  }

  /** Size in bytes of all its const variables. */
  public int constBytes() {
    return constBytes;
  }
}
