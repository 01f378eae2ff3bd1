package dev.heddle.jmh.gpu;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/** What is bound by arithmetic: products of matrices, and attention forward and backward. */
final class ProductSpeed {
  private final CheckOptions options;
  private final boolean simulated;

  ProductSpeed(CheckOptions options, boolean simulated) {
    this.options = options;
    this.simulated = simulated;
  }

  /** Square products. */
  List<Figure> products() {
    List<Figure> figures = new ArrayList<>();
    for (String mode : Mode.ALL) {
      try (CudaDevice device = Mode.open(mode)) {
        for (int size : options.productSizes()) {
          figures.add(product(device, mode, size));
        }
      }
    }
    return figures;
  }

  private Figure product(CudaDevice device, String mode, long n) {
    Operation operation =
        new Operation(
            "products",
            "gemm " + mode + " " + n,
            "gemm",
            mode,
            Map.of("n", n),
            Operation.TERAFLOPS,
            2.0 * n * n * n);
    DType dtype = Mode.dtype(mode);
    try (MemoryScope scope = MemoryScope.open()) {
      Kernels kernels = device.kernels(dtype);
      NDArray a = normal(device, dtype, "a", n, n);
      NDArray b = normal(device, dtype, "b", n, n);
      NDArray c = NDArray.empty(device, dtype, n, n);
      double seconds =
          options
              .rounds()
              .time(device::synchronize, () -> kernels.gemm(a, false, b, false, 1, 0, c));
      return Figure.of(operation, seconds)
          .of(Peak.teraflops(device.properties(), mode, simulated), "peak");
    }
  }

  /** Flash attention, causal and full. */
  List<Figure> attention() {
    List<Figure> figures = new ArrayList<>();
    for (String mode : List.of("f32", "bf16")) {
      try (CudaDevice device = Mode.open(mode)) {
        for (boolean causal : new boolean[] {true, false}) {
          for (int headSize : options.headSizes()) {
            figures.addAll(attention(device, mode, causal, headSize));
          }
        }
      }
    }
    return figures;
  }

  private List<Figure> attention(CudaDevice device, String mode, boolean causal, long d) {
    long b = options.tiny() ? 1 : 4;
    long h = options.tiny() ? 2 : 16;
    long s = options.tiny() ? 16 : 2048;
    DType dtype = Mode.dtype(mode);
    AttentionMask mask = causal ? AttentionMask.CAUSAL : AttentionMask.FULL;
    double scale = 1 / Math.sqrt(d);
    // Two products of S x S x D a head; half of them where the future is masked.
    double work = 4.0 * b * h * s * s * d * (causal ? 0.5 : 1);
    Map<String, Long> sizes = new LinkedHashMap<>();
    sizes.put("batch", b);
    sizes.put("heads", h);
    sizes.put("sequence", s);
    sizes.put("head_size", d);
    sizes.put("causal", causal ? 1L : 0L);
    String name = "attention " + (causal ? "causal " : "full ") + mode + " D" + d;
    try (MemoryScope scope = MemoryScope.open()) {
      Kernels kernels = device.kernels(dtype);
      NDArray q = normal(device, dtype, "q", b, s, h, d);
      NDArray k = normal(device, dtype, "k", b, s, h, d);
      NDArray v = normal(device, dtype, "v", b, s, h, d);
      NDArray out = NDArray.empty(device, dtype, b, s, h, d);
      NDArray statistics = NDArray.empty(device, dtype.accumulation(), b, h, s);
      NDArray dout = normal(device, dtype, "dout", b, s, h, d);
      NDArray dq = NDArray.empty(device, dtype, b, s, h, d);
      NDArray dk = NDArray.empty(device, dtype, b, s, h, d);
      NDArray dv = NDArray.empty(device, dtype, b, s, h, d);
      double forward =
          options
              .rounds()
              .time(
                  device::synchronize,
                  () -> kernels.attention(q, k, v, mask, scale, out, statistics));
      double backward =
          options
              .rounds()
              .time(
                  device::synchronize,
                  () ->
                      kernels.attentionBackward(
                          q, k, v, out, statistics, dout, mask, scale, dq, dk, dv));
      OptionalDouble peak = Peak.teraflops(device.properties(), mode, simulated);
      return List.of(
          Figure.of(
                  new Operation(
                      "attention",
                      name + " forward",
                      "attention",
                      mode,
                      sizes,
                      Operation.TERAFLOPS,
                      work),
                  forward)
              .of(peak, "peak"),
          // Five products where the forward has two.
          Figure.of(
                  new Operation(
                      "attention",
                      name + " backward",
                      "attention_backward",
                      mode,
                      sizes,
                      Operation.TERAFLOPS,
                      2.5 * work),
                  backward)
              .of(peak, "peak"));
    }
  }

  /** Normal values, made on the device. */
  static NDArray normal(CudaDevice device, DType dtype, String name, long... dims) {
    Shape shape = Shape.of(dims);
    NDArray array = NDArray.empty(device, dtype, shape);
    device
        .kernels(dtype)
        .randomNormal(RandomKey.of(1, name), GlobalIndex.whole(shape), 0, 1, array);
    return array;
  }
}
