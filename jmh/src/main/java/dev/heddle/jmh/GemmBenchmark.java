package dev.heddle.jmh;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Matrix products in F32, of the sizes of a small transformer's layers; also in GFLOP/s. */
// So that the auxiliary counter can be read as floating-point operations in a second.
@BenchmarkMode(Mode.Throughput)
// The counter counts 10^9 operations, so this makes GFLOP/s.
@OutputTimeUnit(TimeUnit.SECONDS)
// C2 is through with an operator's loops after two or three seconds.
@Warmup(iterations = 4, time = 1)
// Five, so that one disturbed second shows as such.
@Measurement(iterations = 5, time = 1)
// A JVM of its own: type profiles of other benchmarks would make kernels slower. Vectors and native
// calls as ./heddle has them; the leak detector would be measured too.
@Fork(
    value = 1,
    jvmArgsAppend = {
      "--add-modules=jdk.incubator.vector",
      "--enable-native-access=ALL-UNNAMED",
      "-Dheddle.leaks=off"
    })
// The thread that opened a scope of memory must close it.
@State(Scope.Thread)
public class GemmBenchmark {
  /** Which operands are transposed: neither, the second (a linear layer), the first (its dw). */
  public enum Form {
    NN,
    NT,
    TN
  }

  /** Work done, told as a rate. */
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  @State(Scope.Thread)
  public static class Work {
    /** 10^9 multiplications and additions. */
    public double gigaFlop;
  }

  /** M x N x K. */
  @Param({
    "256x256x256",
    "512x512x512",
    "1024x1024x1024",
    "2048x1152x384",
    "2048x1536x384",
    "2048x384x1536",
    "2048x512x384",
    "384x1536x2048",
    "1536x384x2048"
  })
  public String size = "";

  /** Transposes. */
  @Param public Form form = Form.NN;

  private NDArray a;
  private NDArray b;
  private NDArray c;
  private double gigaFlop;

  /** Makes the operands and checks one product. */
  @Setup(Level.Trial)
  public void prepare(BenchmarkDevice on) {
    String[] parts = size.split("x");
    long m = Long.parseLong(parts[0]);
    long n = Long.parseLong(parts[1]);
    long k = Long.parseLong(parts[2]);
    gigaFlop = 2e-9 * m * n * k;
    a = BenchmarkDevice.normal(on.device(), 1, form == Form.TN ? Shape.of(k, m) : Shape.of(m, k));
    b = BenchmarkDevice.normal(on.device(), 2, form == Form.NT ? Shape.of(n, k) : Shape.of(k, n));
    c = NDArray.empty(on.device(), BenchmarkDevice.dtype(), m, n);
    run();
    verify(m, n, k);
  }

  /** Every 97th element against a sum in double precision. */
  private void verify(long m, long n, long k) {
    double[] left = a.toDoubles();
    double[] right = b.toDoubles();
    double[] product = c.toDoubles();
    for (long at = 0; at < m * n; at += 97) {
      long i = at / n;
      long j = at % n;
      double sum = 0;
      for (long l = 0; l < k; l++) {
        sum +=
            left[(int) (form == Form.TN ? l * m + i : i * k + l)]
                * right[(int) (form == Form.NT ? j * k + l : l * n + j)];
      }
      if (!(Math.abs(product[(int) at] - sum)
          <= 1e-5 * Math.sqrt(k) * Math.max(1, Math.abs(sum)))) {
        throw new IllegalStateException(
            "GEMM "
                + size
                + " "
                + form
                + ": element ["
                + i
                + ","
                + j
                + "] is "
                + product[(int) at]
                + ", wanted "
                + sum);
      }
    }
  }

  private void run() {
    a.kernels().gemm(a, form == Form.TN, b, form == Form.NT, 1, 0, c);
  }

  /** c = op(a) op(b). */
  @Benchmark
  public NDArray gemm(Work work) {
    try (MemoryScope scratch = MemoryScope.open()) {
      run();
    }
    work.gigaFlop += gigaFlop;
    return c;
  }
}
