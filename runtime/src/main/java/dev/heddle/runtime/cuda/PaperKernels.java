package dev.heddle.runtime.cuda;

import static dev.heddle.runtime.cuda.PaperMoves.reads;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The kernels of a GPU on paper: {@link CudaKernels} decides what is launched, and here it is said
 * what that moves: the operator as one perfect kernel, and each launch that it is made of. Most are
 * one launch, so that both are the same. Those of several also move what one launch leaves for the
 * next: partial sums, and what two of them both read.
 *
 * <p>What depends on values is taken at its most: rows that are gathered or added to are all
 * different and all there.
 */
final class PaperKernels implements Kernels {
  private static final String PARTS = "heddle_reduction_parts_";

  /** Bytes of an array's entry in the table of {@code sumOfSquares}. */
  private static final long ENTRY = 3 * Long.BYTES;

  /** Bytes of a tensor's entry in the table of {@code adamW}. */
  private static final long UPDATED = 8 * Long.BYTES;

  private final CudaKernels kernels;
  private final PaperTally tally;

  PaperKernels(CudaKernels kernels, PaperTally tally) {
    this.kernels = kernels;
    this.tally = tally;
  }

  @Override
  public String name() {
    return kernels.name() + " on paper";
  }

  /** An operator that is one launch, or one cut into several for its size. */
  private void run(String operator, PaperMoves moves, Runnable launches) {
    boolean[] moved = new boolean[1];
    tally.operator(
        operator,
        moves,
        (kernel, scratch) -> {
          PaperMoves rest = moved[0] ? PaperMoves.NONE : moves;
          moved[0] = true;
          return rest;
        },
        launches);
  }

  private void run(String operator, PaperMoves least, PaperTally.Rule rule, Runnable launches) {
    tally.operator(operator, least, rule, launches);
  }

  // ---- what launches move

  /** Both arrays, once if they are one. */
  private static PaperMoves operands(NDArray a, NDArray b) {
    boolean same = a.address() == b.address() && a.shape().equals(b.shape());
    return same ? reads(a) : reads(a, b);
  }

  /** Products are the library's; what it cannot do is an operator of its own within this one. */
  private static PaperTally.Rule libraryOnly(String operator) {
    return (kernel, scratch) -> PaperTally.unknown(operator, kernel);
  }

  /** A sum that one kernel forms, or forms in parts for another to add up. */
  private static PaperMoves inParts(
      String operator, String kernel, String first, long parts, PaperMoves inputs, NDArray y) {
    if (kernel.startsWith("heddle_" + first)) {
      return parts == 0 ? inputs.writes(y) : inputs.writesBytes(parts);
    }
    return kernel.startsWith(PARTS)
        ? PaperMoves.readsBytes(parts).writes(y)
        : PaperTally.unknown(operator, kernel);
  }

  /**
   * @param parts bytes of the parts of both parameters' gradients
   * @param inputs what the gradients of x and of the parameters are both made of
   */
  private static PaperMoves normBackward(
      String operator,
      String kernel,
      long parts,
      PaperMoves inputs,
      NDArray weight,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    if (kernel.startsWith("heddle_norm_parameter_parts_")) {
      return inputs.writesBytes(parts);
    }
    if (kernel.startsWith("heddle_norm_")) {
      return inputs.plus(reads(weight)).writes(dx);
    }
    NDArray output = dweight == null ? dbias : dweight;
    boolean two = dweight != null && dbias != null;
    return kernel.startsWith(PARTS)
        ? PaperMoves.readsBytes(two ? parts / 2 : parts).writes(output)
        : PaperTally.unknown(operator, kernel);
  }

  private static PaperMoves allOf(List<NDArray> arrays) {
    return reads(arrays.toArray(NDArray[]::new));
  }

  /** The sums of pieces of all arrays, then their sum. */
  private static PaperMoves squares(String kernel, List<NDArray> arrays, PaperMoves arraysOnce) {
    long table = 0;
    long pieces = 0;
    for (NDArray array : arrays) {
      table += array.size() > 0 ? ENTRY : 0;
      pieces += CudaLauncher.ceilDivide(array.size(), CudaReductionKernels.SQUARES);
    }
    long sums = pieces * Double.BYTES;
    if (kernel.startsWith("heddle_reduction_squares_")) {
      return arraysOnce.plus(PaperMoves.readsBytes(table)).writesBytes(sums);
    }
    return kernel.startsWith("heddle_reduction_total_")
        ? PaperMoves.readsBytes(sums).writesBytes(Double.BYTES)
        : PaperTally.unknown("sumOfSquares", kernel);
  }

  // ---- the table

  @Override
  public void fill(NDArray y, double value) {
    run("fill", PaperMoves.NONE.writes(y), () -> kernels.fill(y, value));
  }

  @Override
  public void copy(NDArray x, NDArray y) {
    run("copy", reads(x).writes(y), () -> kernels.copy(x, y));
  }

  @Override
  public void gatherRows(NDArray x, NDArray rows, NDArray y) {
    run(
        "gatherRows",
        reads(rows).plus(PaperMoves.readsBytes(PaperMoves.bytes(y))).writes(y),
        () -> kernels.gatherRows(x, rows, y));
  }

  @Override
  public void scatterAddRows(NDArray x, NDArray rows, NDArray y) {
    run("scatterAddRows", reads(x, rows, x).writes(x), () -> kernels.scatterAddRows(x, rows, y));
  }

  @Override
  public void localRows(NDArray rows, long first, long count, long all, NDArray local) {
    run(
        "localRows",
        reads(rows).writes(local),
        () -> kernels.localRows(rows, first, count, all, local));
  }

  @Override
  public void unary(UnaryOperation op, NDArray x, NDArray y) {
    run("unary", reads(x).writes(y), () -> kernels.unary(op, x, y));
  }

  @Override
  public void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    run("unaryBackward", reads(x, dy).writes(dx), () -> kernels.unaryBackward(op, x, dy, dx));
  }

  @Override
  public void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    run("binary", operands(a, b).writes(y), () -> kernels.binary(op, a, b, y));
  }

  @Override
  public void scale(NDArray x, double alpha, NDArray y) {
    run("scale", reads(x).writes(y), () -> kernels.scale(x, alpha, y));
  }

  @Override
  public void addScaled(NDArray x, double alpha, NDArray y) {
    run("addScaled", operands(x, y).writes(y), () -> kernels.addScaled(x, alpha, y));
  }

  @Override
  public void swiglu(NDArray gate, NDArray up, NDArray y) {
    run("swiglu", reads(gate, up).writes(y), () -> kernels.swiglu(gate, up, y));
  }

  @Override
  public void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    run(
        "swigluBackward",
        reads(gate, up, dy).writes(dgate, dup),
        () -> kernels.swigluBackward(gate, up, dy, dgate, dup));
  }

  @Override
  public void sumTo(NDArray x, NDArray y) {
    run(
        "sumTo",
        reads(x).writes(y),
        (kernel, parts) -> inParts("sumTo", kernel, "reduction_sum_", parts, reads(x), y),
        () -> kernels.sumTo(x, y));
  }

  @Override
  public double sumOfSquares(List<NDArray> arrays) {
    double[] sum = new double[1];
    PaperMoves arraysOnce = allOf(arrays);
    run(
        "sumOfSquares",
        arraysOnce.writesBytes(arrays.isEmpty() ? 0 : Double.BYTES),
        (kernel, scratch) -> squares(kernel, arrays, arraysOnce),
        () -> sum[0] = kernels.sumOfSquares(arrays));
    return sum[0];
  }

  @Override
  public void sumOfSquares(List<NDArray> arrays, NDArray sum) {
    PaperMoves arraysOnce = allOf(arrays);
    run(
        "sumOfSquares",
        arraysOnce.writes(sum),
        (kernel, scratch) ->
            arrays.isEmpty() ? PaperMoves.NONE.writes(sum) : squares(kernel, arrays, arraysOnce),
        () -> kernels.sumOfSquares(arrays, sum));
  }

  @Override
  public void argmaxRows(NDArray x, NDArray y) {
    run("argmaxRows", reads(x).writes(y), () -> kernels.argmaxRows(x, y));
  }

  @Override
  public void gemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    run(
        "gemm",
        reads(a, b, beta == 0 ? null : c).writes(c),
        libraryOnly("gemm"),
        () -> kernels.gemm(a, transposeA, b, transposeB, alpha, beta, c));
  }

  @Override
  public void batchedGemm(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    run(
        "batchedGemm",
        reads(a, b, beta == 0 ? null : c).writes(c),
        libraryOnly("batchedGemm"),
        () -> kernels.batchedGemm(a, transposeA, b, transposeB, alpha, beta, c));
  }

  @Override
  public void linear(
      NDArray x,
      NDArray w,
      @Nullable NDArray bias,
      UnaryOperation activation,
      NDArray y,
      @Nullable NDArray preActivation) {
    run(
        "linear",
        reads(x, w, bias).writes(y, preActivation),
        libraryOnly("linear"),
        () -> kernels.linear(x, w, bias, activation, y, preActivation));
  }

  @Override
  public void linearParameterGradients(NDArray dz, NDArray x, NDArray dw, NDArray db) {
    run(
        "linearParameterGradients",
        reads(dz, x).writes(dw, db),
        libraryOnly("linearParameterGradients"),
        () -> kernels.linearParameterGradients(dz, x, dw, db));
  }

  @Override
  public void softmax(NDArray x, NDArray y) {
    run("softmax", reads(x).writes(y), () -> kernels.softmax(x, y));
  }

  @Override
  public void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    run("softmaxBackward", reads(y, dy).writes(dx), () -> kernels.softmaxBackward(y, dy, dx));
  }

  @Override
  public void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd) {
    run(
        "layerNorm",
        reads(x, weight, bias).writes(y, mean, rstd),
        () -> kernels.layerNorm(x, weight, bias, epsilon, y, mean, rstd));
  }

  @Override
  public void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    run(
        "layerNormBackward",
        reads(x, dx == null ? null : weight, mean, rstd, dy).writes(dx, dweight, dbias),
        (kernel, parts) ->
            normBackward(
                "layerNormBackward",
                kernel,
                parts,
                reads(x, mean, rstd, dy),
                weight,
                dx,
                dweight,
                dbias),
        () -> kernels.layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias));
  }

  @Override
  public void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    run(
        "rmsNorm",
        reads(x, weight).writes(y, rstd),
        () -> kernels.rmsNorm(x, weight, epsilon, y, rstd));
  }

  @Override
  public void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    run(
        "rmsNormBackward",
        reads(x, dx == null ? null : weight, rstd, dy).writes(dx, dweight),
        (kernel, parts) ->
            normBackward(
                "rmsNormBackward", kernel, parts, reads(x, rstd, dy), weight, dx, dweight, null),
        () -> kernels.rmsNormBackward(x, weight, rstd, dy, dx, dweight));
  }

  @Override
  public void rotary(NDArray x, NDArray cos, NDArray sin, boolean inverse, NDArray y) {
    run("rotary", reads(x, cos, sin).writes(y), () -> kernels.rotary(x, cos, sin, inverse, y));
  }

  @Override
  public void attention(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray out,
      NDArray logSumExp) {
    run(
        "attention",
        reads(q, k, v).writes(out, logSumExp),
        () -> kernels.attention(q, k, v, mask, scale, out, logSumExp));
  }

  @Override
  public void attentionBackward(
      NDArray q,
      NDArray k,
      NDArray v,
      NDArray out,
      NDArray logSumExp,
      NDArray dout,
      AttentionMask mask,
      double scale,
      NDArray dq,
      NDArray dk,
      NDArray dv) {
    run(
        "attentionBackward",
        reads(q, k, v, out, logSumExp, dout).writes(dq, dk, dv),
        (kernel, sums) -> {
          if (kernel.contains("_delta_")) {
            return reads(out, dout).writesBytes(sums);
          }
          PaperMoves inputs = reads(q, k, v, logSumExp, dout).plus(PaperMoves.readsBytes(sums));
          if (kernel.contains("_backward_queries_")) {
            return inputs.writes(dq);
          }
          return kernel.contains("_backward_keys_")
              ? inputs.writes(dk, dv)
              : PaperTally.unknown("attentionBackward", kernel);
        },
        () -> kernels.attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv));
  }

  @Override
  public void crossEntropy(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    run(
        "crossEntropy",
        reads(logits, targets).writes(logSumExp, targetLogit),
        () -> kernels.crossEntropy(logits, targets, firstColumn, classes, logSumExp, targetLogit));
  }

  @Override
  public void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits) {
    run(
        "crossEntropyBackward",
        reads(logits, targets, logSumExp, dloss).writes(dlogits),
        () ->
            kernels.crossEntropyBackward(logits, targets, firstColumn, logSumExp, dloss, dlogits));
  }

  @Override
  public void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy) {
    run(
        "adamW",
        reads(weight, gradient, firstMoment, secondMoment)
            .writes(weight, firstMoment, secondMoment, copy),
        () -> kernels.adamW(step, weight, gradient, firstMoment, secondMoment, copy));
  }

  @Override
  public void adamW(AdamWStep constants, List<AdamWTensor> tensors, NDArray update) {
    PaperMoves tensorsOnce = PaperMoves.NONE;
    long table = 0;
    for (AdamWTensor t : tensors) {
      tensorsOnce =
          tensorsOnce
              .plus(reads(t.weight(), t.gradient(), t.firstMoment(), t.secondMoment()))
              .writes(t.weight(), t.firstMoment(), t.secondMoment(), t.copy());
      table += t.weight().size() > 0 ? UPDATED : 0;
    }
    PaperMoves least = table == 0 ? PaperMoves.NONE : tensorsOnce.plus(reads(update));
    PaperMoves launch = least.plus(PaperMoves.readsBytes(table));
    run(
        "adamW",
        least,
        (kernel, scratch) -> launch,
        () -> kernels.adamW(constants, tensors, update));
  }

  @Override
  public void concludeStep(NDArray control, NDArray state) {
    long optimizers = control.size() - StepControl.FIRST_RATE;
    // Of the state it reads the scale, the count of finite steps and each update's number, and
    // writes all but the scale, which changes once in many steps. A scale that is fixed has no
    // such count: 8 bytes less each way.
    PaperMoves moves =
        reads(control)
            .plus(PaperMoves.readsBytes((2 + optimizers) * Double.BYTES))
            .writesBytes((state.size() - 1) * Double.BYTES);
    run("concludeStep", moves, () -> kernels.concludeStep(control, state));
  }

  @Override
  public void randomUniform(RandomKey key, GlobalIndex index, double low, double high, NDArray y) {
    run(
        "randomUniform",
        PaperMoves.NONE.writes(y),
        () -> kernels.randomUniform(key, index, low, high, y));
  }

  @Override
  public void randomNormal(
      RandomKey key, GlobalIndex index, double mean, double deviation, NDArray y) {
    run(
        "randomNormal",
        PaperMoves.NONE.writes(y),
        () -> kernels.randomNormal(key, index, mean, deviation, y));
  }

  @Override
  public void dropout(RandomKey key, GlobalIndex index, double probability, NDArray x, NDArray y) {
    run("dropout", reads(x).writes(y), () -> kernels.dropout(key, index, probability, x, y));
  }
}
