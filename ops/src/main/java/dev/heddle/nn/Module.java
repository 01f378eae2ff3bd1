package dev.heddle.nn;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A part of a model: parameters and further modules, in the fixed order in which the constructor
 * registered them. What it computes is a method of the subclass with whatever arguments it needs;
 * layers that map one tensor to one tensor also implement {@link Layer}.
 */
public abstract class Module {
  private final String name;
  private final List<Parameter> own = new ArrayList<>();
  private final List<Module> children = new ArrayList<>();

  /**
   * A module without parameters yet.
   *
   * @param name global dotted name, the prefix of its parameters' names
   */
  protected Module(String name) {
    this.name = name;
  }

  /** Registers a parameter of this module. */
  protected final Parameter add(Parameter parameter) {
    own.add(parameter);
    return parameter;
  }

  /** Registers a module inside this one. */
  protected final <M extends Module> M add(M child) {
    children.add(child);
    return child;
  }

  /** The global dotted name. */
  public final String name() {
    return name;
  }

  /** The modules directly inside, in order. */
  public final List<Module> children() {
    return List.copyOf(children);
  }

  /**
   * All parameters here and inside: a module's own, then its children's, depth first. One that
   * several modules share (tied weights) comes once, where it is met first.
   *
   * @throws IllegalStateException if two different parameters have the same name
   */
  public final List<Parameter> parameters() {
    Map<String, Parameter> byName = new LinkedHashMap<>();
    collect(byName);
    return List.copyOf(byName.values());
  }

  private void collect(Map<String, Parameter> byName) {
    for (Parameter parameter : own) {
      Parameter other = byName.putIfAbsent(parameter.name(), parameter);
      if (other != null && other != parameter) {
        throw new IllegalStateException(
            "Module " + name + ": two different parameters are called " + parameter.name()
                + "; give their modules different names");
      }
    }
    for (Module child : children) {
      child.collect(byName);
    }
  }

  /** The parameter called {@code parameterName}. */
  public final Parameter parameter(String parameterName) {
    List<Parameter> all = parameters();
    for (Parameter parameter : all) {
      if (parameter.name().equals(parameterName)) {
        return parameter;
      }
    }
    throw new IllegalArgumentException(
        "Module " + name + " has no parameter " + parameterName + "; it has "
            + all.stream().map(Parameter::name).toList());
  }

  /** Number of trained values of the whole model, wherever they are held. */
  public final long parameterCount() {
    return parameters().stream().mapToLong(parameter -> parameter.globalShape().size()).sum();
  }

  /** Number of trained values that this rank holds. */
  public final long localParameterCount() {
    return parameters().stream().mapToLong(parameter -> parameter.value().size()).sum();
  }

  /** Forgets all gradients and gives their memory back. */
  public final void clearGradients() {
    for (Parameter parameter : parameters()) {
      parameter.clearGradient();
    }
  }

  @Override
  public String toString() {
    return getClass().getSimpleName() + " " + name;
  }
}
