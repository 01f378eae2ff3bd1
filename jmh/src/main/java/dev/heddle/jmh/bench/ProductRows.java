package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkModel;
import dev.heddle.jmh.Clock;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;

/**
 * Matrix products in Java beside oneDNN's {@code dnnl_sgemm}, in one JVM: what a machine without
 * the native library loses. The two must agree first.
 */
final class ProductRows {
  private static final long[][] SIZES = {
    {512, 512, 512}, {1024, 1024, 1024}, {2048, 1536, 384}, {2048, 384, 1536}
  };

  /** Relative to the square root of the depth, of products of normal numbers. */
  private static final double TOLERANCE = 1e-5;

  private final BenchOptions options;

  ProductRows(BenchOptions options) {
    this.options = options;
  }

  List<Row> measure() {
    List<Row> rows = new ArrayList<>();
    if (CpuBackend.oneDnnVersion().isEmpty()) {
      options.say("products: oneDNN is not there, so Java has nothing to be beside");
      return rows;
    }
    List<Integer> counts = options.threads();
    for (int threads : options.quick() ? counts.subList(0, 1) : counts) {
      try (CpuDevice java = CpuDevice.open("java", threads, CpuBackend.VECTOR);
          CpuDevice oneDnn = CpuDevice.open("oneDNN", threads, CpuBackend.ONEDNN)) {
        for (long[] size : SIZES) {
          for (String form : List.of("NN", "NT", "TN")) {
            Row row = compare(java, oneDnn, size[0], size[1], size[2], form);
            options.say("  " + BenchTable.line(row));
            rows.add(row);
          }
        }
      }
    }
    return rows;
  }

  private Row compare(CpuDevice java, CpuDevice oneDnn, long m, long n, long k, String form) {
    try (MemoryScope lasting = MemoryScope.open()) {
      Product ours = new Product(java, m, n, k, form);
      Product theirs = new Product(oneDnn, m, n, k, form);
      ours.run();
      theirs.run();
      same(ours.c.toFloats(), theirs.c.toFloats(), k);
      int ourCount = Settling.warmUp(options.quick(), ours::turn);
      int theirCount = Settling.warmUp(options.quick(), theirs::turn);
      List<Double> ourTurns = new ArrayList<>();
      List<Double> theirTurns = new ArrayList<>();
      for (int round = 0; round < options.rounds(); round++) {
        ourTurns.add(ours.turn(ourCount));
        theirTurns.add(theirs.turn(theirCount));
      }
      return new Row(
          "product in Java " + m + "x" + n + "x" + k + " " + form,
          java.threads(),
          "f32",
          Medians.of(ourTurns),
          Medians.of(theirTurns),
          "oneDNN " + CpuBackend.oneDnnVersion().orElse("?") + ", dnnl_sgemm",
          "us",
          Targets.JAVA_PRODUCT);
    }
  }

  private static void same(float[] ours, float[] theirs, long depth) {
    for (int i = 0; i < ours.length; i++) {
      double allowed = TOLERANCE * Math.sqrt(depth) * Math.max(1, Math.abs(theirs[i]));
      if (!(Math.abs(ours[i] - theirs[i]) <= allowed)) {
        throw new IllegalStateException(
            "heddle bench: element "
                + i
                + " of a product is "
                + ours[i]
                + " in Java and "
                + theirs[i]
                + " by oneDNN; not timed");
      }
    }
  }

  /** c [M,N] = a b, with a [M,K] or [K,M] and b [K,N] or [N,K]. */
  private static final class Product {
    private final Clock clock;
    private final NDArray a;
    private final NDArray b;
    private final NDArray c;
    private final boolean transposesA;
    private final boolean transposesB;

    Product(CpuDevice device, long m, long n, long k, String form) {
      clock = new Clock(device.threads());
      transposesA = form.startsWith("T");
      transposesB = form.endsWith("T");
      a = normal(device, 1, transposesA ? Shape.of(k, m) : Shape.of(m, k));
      b = normal(device, 2, transposesB ? Shape.of(n, k) : Shape.of(k, n));
      c = NDArray.empty(device, DType.F32, m, n);
    }

    private static NDArray normal(CpuDevice device, long seed, Shape shape) {
      float[] values = BenchmarkModel.normal(seed, Math.toIntExact(shape.size()));
      return NDArray.of(device, shape, values);
    }

    void run() {
      try (MemoryScope scratch = MemoryScope.open()) {
        a.kernels().gemm(a, transposesA, b, transposesB, 1, 0, c);
      }
    }

    /** Microseconds of one run. */
    double turn(int count) {
      long start = clock.nanos();
      for (int i = 0; i < count; i++) {
        run();
      }
      return (clock.nanos() - start) * 1e-3 / count;
    }
  }
}
