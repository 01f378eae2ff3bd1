package dev.heddle.simulated.cublas;

import dev.heddle.bindings.cublas.Cublas;
import java.util.Map;

/**
 * What a cuBLASLt product does with its sums before it stores them.
 *
 * @param adds whether a bias is added, one value for each row of D
 * @param activation applied after the bias
 * @param keeps whether the value before the activation is stored in the auxiliary matrix
 * @param gradient which operand is summed over the inner dimension into the bias vector
 */
record Epilogue(boolean adds, Activation activation, boolean keeps, Gradient gradient) {
  enum Activation {
    NONE,
    RELU,
    /** The tanh approximation, which is what cuBLASLt computes. */
    GELU
  }

  enum Gradient {
    NONE,
    A,
    B
  }

  private static final Map<Integer, Epilogue> KNOWN =
      Map.of(
          Cublas.CUBLASLT_EPILOGUE_DEFAULT(),
          new Epilogue(false, Activation.NONE, false, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_BIAS(),
          new Epilogue(true, Activation.NONE, false, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_RELU(),
          new Epilogue(false, Activation.RELU, false, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_RELU_BIAS(),
          new Epilogue(true, Activation.RELU, false, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_GELU(),
          new Epilogue(false, Activation.GELU, false, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_GELU_BIAS(),
          new Epilogue(true, Activation.GELU, false, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_GELU_AUX(),
          new Epilogue(false, Activation.GELU, true, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_GELU_AUX_BIAS(),
          new Epilogue(true, Activation.GELU, true, Gradient.NONE),
          Cublas.CUBLASLT_EPILOGUE_BGRADA(),
          new Epilogue(false, Activation.NONE, false, Gradient.A),
          Cublas.CUBLASLT_EPILOGUE_BGRADB(),
          new Epilogue(false, Activation.NONE, false, Gradient.B));

  static Epilogue of(int code) {
    Epilogue epilogue = KNOWN.get(code);
    if (epilogue == null) {
      throw Refusal.unsupported("epilogue %d is not simulated", code);
    }
    return epilogue;
  }

  boolean isDefault() {
    return !adds && activation == Activation.NONE && gradient == Gradient.NONE;
  }

  /** Whether the descriptor's bias pointer is read or written. */
  boolean usesBias() {
    return adds || gradient != Gradient.NONE;
  }

  double activate(double x) {
    return switch (activation) {
      case NONE -> x;
      // What a GPU makes of NaN here is not documented; this is the choice that shows.
      case RELU -> x > 0 ? x : 0;
      case GELU -> {
        double inner = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
        yield 0.5 * x * (1 + Math.tanh(inner));
      }
    };
  }
}
