package dev.heddle.steady;

import com.sun.management.ThreadMXBean;
import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.management.CompilationMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Runs the vector kernels, all in turn, with rows that vectors divide and rows that they do not,
 * until none leaves more heap bytes a call than the argument says or nothing is compiled any more;
 * prints {@code KERNEL bytes name} for each that leaves more.
 */
public final class KernelLoop {
  private static final int ROWS = 40;
  private static final int OUTPUTS = 37;
  private static final int TURNS = 200;
  private static final int MEASURED = 20;

  /** Windows without a compilation after which all is compiled. */
  private static final int QUIET_WINDOWS = 10;

  private static final int MOST_WINDOWS = 1000;

  private final CpuDevice device;
  private final Kernels kernels;
  private final Random random = new Random(3);
  private final List<Call> calls = new ArrayList<>();

  private record Call(String name, Runnable kernel) {}

  private KernelLoop(CpuDevice device) {
    this.device = device;
    this.kernels = device.kernels(DType.F32);
  }

  /** Runs and prints. */
  public static void main(String[] arguments) {
    try (CpuDevice device = CpuDevice.open("kernels", 1, CpuBackend.BEST);
        MemoryScope lasting = MemoryScope.open()) {
      KernelLoop loop = new KernelLoop(device);
      for (int columns : new int[] {48, 83}) {
        loop.addElementwise(columns);
        loop.addRows(columns);
        loop.addProducts(columns);
        loop.addAttention(columns / 3 + 1);
        loop.addNarrow(columns);
      }
      loop.run(Long.parseLong(arguments[0]));
      System.out.println("DEVICE " + device);
    }
  }

  private void run(long limit) {
    CompilationMXBean compiler = ManagementFactory.getCompilationMXBean();
    long compiled = 0;
    int quiet = 0;
    List<String> above = List.of();
    for (int window = 0; window < MOST_WINDOWS && quiet < QUIET_WINDOWS; window++) {
      for (int i = 0; i < TURNS; i++) {
        for (Call call : calls) {
          call.kernel.run();
        }
      }
      above = above(limit);
      if (above.isEmpty()) {
        break;
      }
      long total = compiler.getTotalCompilationTime();
      quiet = total == compiled ? quiet + 1 : 0;
      compiled = total;
    }
    above.forEach(System.out::println);
    System.out.println("KERNELS " + calls.size());
  }

  private List<String> above(long limit) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    List<String> lines = new ArrayList<>();
    for (Call call : calls) {
      long before = threads.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < MEASURED; i++) {
        call.kernel.run();
      }
      long bytes = (threads.getCurrentThreadAllocatedBytes() - before) / MEASURED;
      if (bytes > limit) {
        lines.add("KERNEL " + bytes + " " + call.name);
      }
    }
    return lines;
  }

  private void add(String name, Runnable kernel) {
    calls.add(new Call(name, kernel));
  }

  private void addElementwise(int columns) {
    NDArray x = floats(ROWS, columns);
    NDArray y = floats(ROWS, columns);
    NDArray row = floats(columns);
    NDArray column = floats(ROWS, 1);
    NDArray z = floats(ROWS, columns);
    NDArray u = floats(ROWS, columns);
    NDArray v = floats(ROWS, columns);
    for (UnaryOperation op : UnaryOperation.values()) {
      add(op + " " + columns, () -> kernels.unary(op, x, z));
      add(op + " backward " + columns, () -> kernels.unaryBackward(op, x, y, z));
    }
    for (BinaryOperation op : BinaryOperation.values()) {
      add(op + " " + columns, () -> kernels.binary(op, x, y, z));
      add(op + " of a row " + columns, () -> kernels.binary(op, x, row, z));
      add(op + " of a column " + columns, () -> kernels.binary(op, x, column, z));
      add(op + " to a column " + columns, () -> kernels.binary(op, column, x, z));
    }
    add("scale " + columns, () -> kernels.scale(x, 0.5, z));
    add("addScaled " + columns, () -> kernels.addScaled(x, 1e-9, v));
    add("copy " + columns, () -> kernels.copy(x, z));
    add("swiglu " + columns, () -> kernels.swiglu(x, y, z));
    add("swiglu backward " + columns, () -> kernels.swigluBackward(x, y, y, z, u));
    add("sumTo a row " + columns, () -> kernels.sumTo(x, row));
    add("sumTo a column " + columns, () -> kernels.sumTo(x, column));
    add("sumOfSquares " + columns, () -> kernels.sumOfSquares(List.of(x, y)));
  }

  private void addRows(int columns) {
    NDArray x = floats(ROWS, columns);
    NDArray dy = floats(ROWS, columns);
    NDArray y = floats(ROWS, columns);
    NDArray dx = floats(ROWS, columns);
    NDArray weight = floats(columns);
    NDArray bias = floats(columns);
    NDArray dweight = floats(columns);
    NDArray dbias = floats(columns);
    NDArray mean = floats(ROWS);
    NDArray rstd = floats(ROWS);
    NDArray picked = floats(ROWS);
    NDArray targets = targets(columns);
    NDArray loss = floats(1);
    add("softmax " + columns, () -> kernels.softmax(x, y));
    add("softmax backward " + columns, () -> kernels.softmaxBackward(y, dy, dx));
    add(
        "layerNorm " + columns,
        () -> {
          kernels.layerNorm(x, weight, bias, 1e-5, y, mean, rstd);
          kernels.layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
        });
    add(
        "rmsNorm " + columns,
        () -> {
          kernels.rmsNorm(x, weight, 1e-5, y, rstd);
          kernels.rmsNormBackward(x, weight, rstd, dy, dx, dweight);
        });
    add(
        "crossEntropy " + columns,
        () -> {
          kernels.crossEntropy(x, targets, 0, columns, mean, picked);
          kernels.crossEntropyBackward(x, targets, 0, mean, loss, dx);
        });
    add("scatterAddRows " + columns, () -> kernels.scatterAddRows(dy, targets, y));
  }

  /** Those that have loops for bf16 of their own. */
  private void addNarrow(int columns) {
    Kernels narrow = device.kernels(DType.BF16);
    NDArray x = floats(ROWS, columns).cast(DType.BF16);
    NDArray y = floats(ROWS, columns).cast(DType.BF16);
    NDArray z = floats(ROWS, columns).cast(DType.BF16);
    NDArray sum = floats(ROWS, columns).cast(DType.BF16);
    NDArray row = floats(columns).cast(DType.BF16);
    for (UnaryOperation op : List.of(UnaryOperation.GELU, UnaryOperation.SILU)) {
      add("bf16 " + op + " " + columns, () -> narrow.unary(op, x, z));
      add("bf16 " + op + " backward " + columns, () -> narrow.unaryBackward(op, x, y, z));
    }
    for (BinaryOperation op : List.of(BinaryOperation.ADD, BinaryOperation.MULTIPLY)) {
      add("bf16 " + op + " " + columns, () -> narrow.binary(op, x, y, z));
    }
    add("bf16 scale " + columns, () -> narrow.scale(x, 0.5, z));
    add("bf16 addScaled " + columns, () -> narrow.addScaled(x, 1e-9, sum));
    add("bf16 sumTo a row " + columns, () -> narrow.sumTo(x, row));
    AdamWStep step = new AdamWStep(1e-3, 0.9, 0.95, 1e-8, 0.1, 3, 1);
    NDArray weight = floats(ROWS, columns);
    NDArray first = floats(ROWS, columns);
    NDArray second = floats(ROWS, columns);
    add("bf16 adamW " + columns, () -> narrow.adamW(step, weight, x, first, second, z));
  }

  private void addProducts(int columns) {
    NDArray x = floats(ROWS, columns);
    NDArray y = floats(ROWS, OUTPUTS);
    NDArray z = floats(ROWS, OUTPUTS);
    NDArray weight = floats(OUTPUTS, columns);
    NDArray dx = floats(ROWS, columns);
    NDArray dweight = floats(OUTPUTS, columns);
    NDArray bias = floats(OUTPUTS);
    add("linear GELU " + columns, () -> kernels.linear(x, weight, bias, UnaryOperation.GELU, y, z));
    add("gemm dx " + columns, () -> kernels.gemm(y, false, weight, false, 1, 0, dx));
    add("gemm dw " + columns, () -> kernels.gemm(y, true, x, false, 1, 0, dweight));
  }

  private void addAttention(int size) {
    NDArray q = floats(2, 27, 4, size);
    NDArray k = floats(2, 27, 2, size);
    NDArray v = floats(2, 27, 2, size);
    NDArray out = floats(2, 27, 4, size);
    NDArray statistic = floats(2, 4, 27);
    NDArray dq = floats(2, 27, 4, size);
    NDArray dk = floats(2, 27, 2, size);
    NDArray dv = floats(2, 27, 2, size);
    for (AttentionMask mask : List.of(AttentionMask.FULL, AttentionMask.CAUSAL)) {
      add(
          "attention " + size + " " + mask,
          () -> {
            kernels.attention(q, k, v, mask, 0.2, out, statistic);
            kernels.attentionBackward(q, k, v, out, statistic, q, mask, 0.2, dq, dk, dv);
          });
    }
  }

  private NDArray floats(long... dims) {
    float[] values = new float[Math.toIntExact(Shape.of(dims).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = 0.1f + random.nextFloat();
    }
    return NDArray.of(device, Shape.of(dims), values);
  }

  /** Some of them negative: rows that do not count. */
  private NDArray targets(int columns) {
    long[] values = new long[ROWS];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextInt(-1, Math.min(ROWS, columns));
    }
    return NDArray.of(device, Shape.of(values.length), values);
  }
}
