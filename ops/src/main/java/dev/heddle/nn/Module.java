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

  /** A module without parameters yet. */
  protected Module() {}

  /**
   * Registers a parameter of this module. One that is registered already (tied weights) stays where
   * it is.
   *
   * @throws IllegalArgumentException if another parameter has its name
   */
  protected final Parameter own(Parameter parameter) {
    for (Parameter present : parameters) {
      if (present.equals(parameter)) {
        return parameter;
      }
      if (present.name().equals(parameter.name())) {
        throw new IllegalArgumentException(
            getClass().getSimpleName()
                + ": two different parameters are called "
                + parameter.name()
                + "; give their modules different names");
      }
    }
    parameters.add(parameter);
    return parameter;
  }

  /**
   * Registers a sub-module: its parameters are this module's too.
   *
   * @throws IllegalArgumentException if two different parameters have the same name
   */
  protected final <M extends Module> M own(M module) {
    module.parameters().forEach(this::own);
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
