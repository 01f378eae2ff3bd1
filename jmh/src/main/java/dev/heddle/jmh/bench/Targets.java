package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkedOperator;
import dev.heddle.jmh.Precision;

/** The largest ratios, ours by the peer's, that the project wants; tables mark what is above. */
final class Targets {
  static final double MEMORY = 0.8;
  static final double RANKS = 1.05;
  static final double ADAMW = 0.8;

  /** Any operator that has no target of its own. */
  static final double OPERATOR = 1.10;

  /** A boundary beside a copy of as many bytes: nine tenths of its speed. */
  static final double BOUNDARY = 1 / 0.9;

  /** Products in Java beside oneDNN's: 0.85 of its speed. */
  static final double JAVA_PRODUCT = 1 / 0.85;

  /** Collectives beside the MPI library in C. */
  static final double COLLECTIVE = 1;

  /** An operator's fixed cost. */
  static final double DISPATCH = 0.5;

  private Targets() {}

  /** Of an operator, forward and backward each. */
  static double operator(BenchmarkedOperator operator) {
    String name = operator.name();
    if (name.startsWith("CROSS_ENTROPY")) {
      return 0.6;
    }
    return name.startsWith("ATTENTION_CAUSAL") ? 0.7 : OPERATOR;
  }

  /** Of a training step; NaN where none is set. */
  static double step(String model, Precision precision, int threads, boolean djl) {
    return switch (precision) {
      case BF16_PRODUCTS -> 0.88;
      case BF16 -> 0.80;
      case F32 ->
          switch (model) {
            case "gpt" -> djl ? 0.82 : threads == 1 ? 0.92 : 0.95;
            case "vit" -> djl ? threads == 1 ? 0.88 : 0.85 : 0.95;
            case "vlm", "vlm-scored" -> djl ? Double.NaN : threads == 1 ? 0.85 : 0.90;
            default -> Double.NaN;
          };
    };
  }
}
