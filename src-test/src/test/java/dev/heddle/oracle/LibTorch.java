package dev.heddle.oracle;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import dev.heddle.runtime.DType;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;

/** libtorch through DJL: loaded once, without network, with one thread. */
final class LibTorch {
  private static final String PLATFORM =
      (System.getProperty("os.name") + "-" + System.getProperty("os.arch"))
          .toLowerCase(Locale.ROOT);
  private static final @Nullable Engine ENGINE;
  private static final String REASON;

  static {
    // DJL would otherwise download libraries and report usage statistics.
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("OPT_OUT_TRACKING", "true");
    // Its OpenMP threads spin at barriers, which costs more than it gains where cores are shared.
    System.setProperty("ai.djl.pytorch.num_threads", "1");
    System.setProperty("ai.djl.pytorch.num_interop_threads", "1");
    Engine engine = null;
    String reason;
    try {
      engine = Engine.getEngine("PyTorch");
      reason = "libtorch " + engine.getVersion();
    } catch (Exception | LinkageError e) {
      StringWriter trace = new StringWriter();
      e.printStackTrace(new PrintWriter(trace));
      reason = "libtorch could not be loaded through DJL on " + PLATFORM + ": " + trace;
    }
    ENGINE = engine;
    REASON = reason;
  }

  private LibTorch() {}

  /**
   * The engine. Skips the running test, with the reason, where libtorch cannot be loaded; on
   * linux-x86_64, where its artifact is on the class path, that is a failure instead.
   */
  static Engine require() {
    Engine engine = ENGINE;
    if (engine == null) {
      if (PLATFORM.equals("linux-amd64")) {
        throw new AssertionError(REASON);
      }
      Assumptions.abort(REASON);
      throw new AssertionError("abort returned");
    }
    return engine;
  }

  /** A manager for arrays of one test. */
  static NDManager open() {
    return require().newBaseManager();
  }

  /** The same values in libtorch: floating types become double precision, integers I64. */
  static NDArray copy(NDManager manager, dev.heddle.runtime.NDArray array) {
    Shape shape = new Shape(array.shape().toArray());
    return array.dtype().isFloating()
        ? manager.create(array.toDoubles(), shape)
        : manager.create(array.toLongs(), shape);
  }

  /**
   * factor x. Not {@code x.mul(factor)}: DJL 0.35.1 frees the memory of the number that it makes
   * for that as soon as the product is computed, while libtorch still reads it in the backward.
   */
  static NDArray times(NDArray x, double factor) {
    return x.mul(x.getManager().create(factor));
  }

  /** The values in row-major order. */
  static double[] values(NDArray array) {
    return switch (array.getDataType()) {
      case FLOAT64 -> array.toDoubleArray();
      case FLOAT32 -> {
        float[] floats = array.toFloatArray();
        double[] values = new double[floats.length];
        for (int i = 0; i < floats.length; i++) {
          values[i] = floats[i];
        }
        yield values;
      }
      default -> throw new IllegalArgumentException("LibTorch.values: " + array.getDataType());
    };
  }

  /** {@code values} rounded to what {@code dtype} can hold, so that both sides start equal. */
  static double[] rounded(DType dtype, double[] values) {
    double[] result = values.clone();
    if (dtype != DType.F64) {
      for (int i = 0; i < result.length; i++) {
        float narrow = (float) result[i];
        result[i] = dtype == DType.BF16 ? DType.bf16ToFloat(DType.floatToBf16(narrow)) : narrow;
      }
    }
    return result;
  }
}
