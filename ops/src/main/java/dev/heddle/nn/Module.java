package dev.heddle.nn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A part of a model that owns parameters. Parameters and sub-modules are listed in the order in
 * which the constructor registers them, which is the same on every rank.
 */
public abstract class Module {
  private final List<Parameter> parameters = new ArrayList<>();

  /** Registers a parameter of this module. */
  protected final Parameter own(Parameter parameter) {
    parameters.add(parameter);
    return parameter;
  }

  /** Registers a sub-module: its parameters are this module's too. */
  protected final <M extends Module> M own(M module) {
    parameters.addAll(module.parameters());
    return module;
  }

  /** All parameters, sub-modules' included, in a fixed order. */
  public final List<Parameter> parameters() {
    return Collections.unmodifiableList(parameters);
  }

  /** The number of values in all global parameters, whatever part of them this rank holds. */
  public final long globalParameterCount() {
    return parameters.stream().mapToLong(parameter -> parameter.globalShape().size()).sum();
  }
}
