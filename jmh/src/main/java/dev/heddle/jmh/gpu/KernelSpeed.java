package dev.heddle.jmh.gpu;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * What is bound by memory: bytes that must be read and written at least, a second, beside those of
 * a copy on the device.
 */
final class KernelSpeed {
  private final CheckOptions options;
  private final long rows;
  private final long columns;

  KernelSpeed(CheckOptions options) {
    this.options = options;
    this.rows = options.tiny() ? 8 : 8192;
    this.columns = options.tiny() ? 64 : 4096;
  }

  List<Figure> measure() {
    List<Figure> figures = new ArrayList<>();
    for (String mode : List.of("f32", "bf16")) {
      try (CudaDevice device = CudaDevice.open(0)) {
        measure(device, mode, figures);
      }
    }
    return figures;
  }

  private void measure(CudaDevice device, String mode, List<Figure> figures) {
    DType dtype = Mode.dtype(mode);
    DType wide = dtype.accumulation();
    Kernels kernels = device.kernels(dtype);
    List<Figure> all = new ArrayList<>();
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray x = ProductSpeed.normal(device, dtype, "x", rows, columns);
      NDArray dy = ProductSpeed.normal(device, dtype, "dy", rows, columns);
      NDArray y = NDArray.empty(device, dtype, rows, columns);
      NDArray weight = ProductSpeed.normal(device, dtype, "weight", columns);
      NDArray bias = ProductSpeed.normal(device, dtype, "bias", columns);
      NDArray mean = NDArray.empty(device, wide, rows);
      NDArray deviation = NDArray.empty(device, wide, rows);
      NDArray dweight = NDArray.empty(device, dtype, columns);
      NDArray dbias = NDArray.empty(device, dtype, columns);
      double array = (double) rows * columns * dtype.byteSize();

      all.add(time(device, mode, "copy", 2 * array, () -> kernels.copy(x, y)));
      all.add(
          time(
              device, mode, "add", 3 * array, () -> kernels.binary(BinaryOperation.ADD, x, dy, y)));
      all.add(
          time(device, mode, "gelu", 2 * array, () -> kernels.unary(UnaryOperation.GELU, x, y)));
      all.add(
          time(
              device,
              mode,
              "gelu_backward",
              3 * array,
              () -> kernels.unaryBackward(UnaryOperation.GELU, x, dy, y)));
      all.add(time(device, mode, "softmax", 2 * array, () -> kernels.softmax(x, y)));
      all.add(
          time(
              device,
              mode,
              "layer_norm",
              2 * array,
              () -> kernels.layerNorm(x, weight, bias, 1e-5, y, mean, deviation)));
      all.add(
          time(
              device,
              mode,
              "layer_norm_backward",
              3 * array,
              () -> kernels.layerNormBackward(x, weight, mean, deviation, dy, y, dweight, dbias)));
      all.add(
          time(
              device,
              mode,
              "rms_norm",
              2 * array,
              () -> kernels.rmsNorm(x, weight, 1e-5, y, deviation)));
      all.add(
          time(
              device,
              mode,
              "rms_norm_backward",
              3 * array,
              () -> kernels.rmsNormBackward(x, weight, deviation, dy, y, dweight)));
      long[] classes = new long[Math.toIntExact(rows)];
      for (int i = 0; i < classes.length; i++) {
        classes[i] = i % columns;
      }
      NDArray targets = NDArray.of(device, Shape.of(rows), classes);
      NDArray one = NDArray.full(device, wide, Shape.of(1), 1);
      all.add(
          time(
              device,
              mode,
              "cross_entropy",
              array,
              () -> kernels.crossEntropy(x, targets, 0, columns, mean, deviation)));
      all.add(
          time(
              device,
              mode,
              "cross_entropy_backward",
              2 * array,
              () -> kernels.crossEntropyBackward(x, targets, 0, mean, one, y)));
      all.add(adamW(device, mode, kernels, x));
    }
    OptionalDouble copy = OptionalDouble.of(all.getFirst().value());
    figures.add(all.getFirst());
    all.stream().skip(1).map(figure -> figure.of(copy, "copy")).forEach(figures::add);
  }

  /** Weight and moments are read and written in F32; bf16 also writes the rounded weight. */
  private Figure adamW(CudaDevice device, String mode, Kernels kernels, NDArray gradient) {
    AdamWStep step = new AdamWStep(1e-4, 0.9, 0.999, 1e-8, 0.01, 1, 1);
    boolean narrow = gradient.dtype() == DType.BF16;
    double count = gradient.size();
    double bytes = count * (6 * Float.BYTES + gradient.dtype().byteSize() * (narrow ? 2 : 1));
    NDArray weight = ProductSpeed.normal(device, DType.F32, "master", rows, columns);
    NDArray first = NDArray.zeros(device, DType.F32, rows, columns);
    NDArray second = NDArray.zeros(device, DType.F32, rows, columns);
    NDArray copy = narrow ? NDArray.empty(device, DType.BF16, rows, columns) : null;
    return time(
        device,
        mode,
        "adamw",
        bytes,
        () -> kernels.adamW(step, weight, gradient, first, second, copy));
  }

  private Figure time(
      CudaDevice device, String mode, String kind, double bytes, Runnable operation) {
    return Figure.of(
        new Operation(
            "memory",
            kind.replace('_', ' ') + " " + mode,
            kind,
            mode,
            Map.of("rows", rows, "columns", columns),
            Operation.GIGABYTES,
            bytes),
        options.rounds().time(device::synchronize, operation));
  }
}
