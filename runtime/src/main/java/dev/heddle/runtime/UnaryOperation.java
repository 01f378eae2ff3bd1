package dev.heddle.runtime;

/** The element-wise functions of one variable that every backend computes, with derivatives. */
public enum UnaryOperation {
  /** y = x: the activation of a plain linear layer. */
  IDENTITY,
  NEGATE,
  EXP,
  LOG,
  SQRT,
  RECIPROCAL,
  SQUARE,
  TANH,
  /** 1 / (1 + e^-x). */
  SIGMOID,
  RELU,
  /** x Φ(x) with the exact normal distribution function, through erf. */
  GELU,
  /** x sigmoid(x), also called swish. */
  SILU
}
