package dev.heddle.runtime.cuda;

import java.util.ArrayDeque;
import java.util.Map;
import java.util.TreeMap;

/**
 * The running figures behind {@link PaperCounters}. Operators open and close around the launches
 * that they make; the innermost says what a launch moves, the outermost is what was asked for.
 */
final class PaperTally {
  /** What a launch of an operator moves. */
  @FunctionalInterface
  interface Rule {
    /**
     * @param kernel the kernel's name
     * @param scratchBytes memory that the operator has borrowed last, 0 if none
     */
    PaperMoves of(String kernel, long scratchBytes);
  }

  private static final class Operator {
    final String name;
    final Rule rule;
    long scratchBytes;

    Operator(String name, Rule rule) {
      this.name = name;
      this.rule = rule;
    }
  }

  final CudaTally device = new CudaTally();
  private final Map<String, KernelTraffic> kernels = new TreeMap<>();
  private final Map<String, KernelTraffic> operators = new TreeMap<>();
  private final ArrayDeque<Operator> open = new ArrayDeque<>();

  /**
   * Counts an operator and runs what launches its kernels.
   *
   * @param least what it moves if it is one perfect kernel; not counted within another operator, of
   *     which it is a part
   */
  void operator(String name, PaperMoves least, Rule rule, Runnable launches) {
    if (open.isEmpty()) {
      count(operators, name, least);
    }
    open.push(new Operator(name, rule));
    try {
      launches.run();
    } finally {
      open.pop();
    }
  }

  /** Counts memory that the open operator's launches pass on to each other. */
  void borrowed(long bytes) {
    current("memory of " + bytes + " bytes").scratchBytes = bytes;
  }

  /** Counts a launch of one of our kernels. */
  void launched(String kernel) {
    Operator operator = current(kernel);
    device.launches++;
    count(kernels, kernel, operator.rule.of(kernel, operator.scratchBytes));
  }

  /** Counts a product of the library. */
  void product(String function, PaperMoves moves) {
    count(kernels, function, moves);
  }

  private Operator current(String what) {
    Operator operator = open.peek();
    if (operator == null) {
      throw new IllegalStateException(
          "GPU on paper: " + what + " is asked for outside of any operator of PaperKernels");
    }
    return operator;
  }

  /** What a rule says of a kernel that its operator was not known to launch. */
  static PaperMoves unknown(String operator, String kernel) {
    throw new IllegalStateException(
        "GPU on paper: "
            + operator
            + " launches "
            + kernel
            + ", of which PaperKernels does not know what it moves: say so there");
  }

  private static void count(Map<String, KernelTraffic> to, String name, PaperMoves moves) {
    KernelTraffic once = new KernelTraffic(1, moves.bytesRead(), moves.bytesWritten());
    to.merge(name, once, KernelTraffic::plus);
  }

  PaperCounters read() {
    return new PaperCounters(Map.copyOf(kernels), Map.copyOf(operators), device.read());
  }
}
