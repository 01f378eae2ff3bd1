package dev.heddle.runtime;

/** The element-wise functions of two variables that every backend computes, with broadcasting. */
public enum BinaryOperation {
  ADD,
  SUBTRACT,
  MULTIPLY,
  DIVIDE,
  MAXIMUM
}
