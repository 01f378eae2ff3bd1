package dev.heddle.jmh;

import dev.heddle.runtime.DType;

/** How a training step stores and multiplies numbers; weights are always kept in F32 too. */
public enum Precision {
  /** Everything F32. */
  F32("f32"),
  /** Arrays are F32, matrix products may round their operands to bf16. */
  BF16_PRODUCTS("bf16-products"),
  /** Activations and gradients are bf16. */
  BF16("bf16");

  private final String label;

  Precision(String label) {
    this.label = label;
  }

  /** What it is called on the command line and in tables. */
  public String label() {
    return label;
  }

  /** What our arrays hold. */
  DType dtype() {
    return this == BF16 ? DType.BF16 : DType.F32;
  }

  /**
   * How far the first losses of two sides may be apart, relative: both draw the same weights, but
   * round in other places.
   */
  public double lossTolerance() {
    return this == F32 ? 0.001 : 0.03;
  }

  /**
   * The precision called {@code label}.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Precision labelled(String label) {
    for (Precision precision : values()) {
      if (precision.label.equals(label)) {
        return precision;
      }
    }
    throw new IllegalArgumentException(
        "Precision: there is no \"" + label + "\"; known: f32, bf16-products, bf16");
  }
}
