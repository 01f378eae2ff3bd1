package dev.heddle.jmh.gpu;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What is timed, in words that PyTorch's side understands too.
 *
 * @param section the heading that it stands under
 * @param name what it is called, once in a run
 * @param kind what kind of operation: the word by which {@code gpu_peer.py} knows it
 * @param dtype {@code f32}, {@code tf32} or {@code bf16}
 * @param sizes its sizes, by the names that {@code gpu_peer.py} reads
 * @param unit of its figure: {@link #TERAFLOPS}, {@link #GIGABYTES} or {@link #MILLISECONDS}
 * @param work floating-point operations or bytes; not used where the figure is a time
 */
record Operation(
    String section,
    String name,
    String kind,
    String dtype,
    Map<String, Long> sizes,
    String unit,
    double work) {
  static final String TERAFLOPS = "TFLOP/s";
  static final String GIGABYTES = "GB/s";
  static final String MILLISECONDS = "ms";

  /** The figure of {@code seconds}, in {@link #unit}. */
  double figure(double seconds) {
    return switch (unit) {
      case TERAFLOPS -> work / seconds * 1e-12;
      case GIGABYTES -> work / seconds * 1e-9;
      default -> seconds * 1e3;
    };
  }

  /** For the file, and for PyTorch's side. */
  Map<String, @Nullable Object> toMap() {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    map.put("section", section);
    map.put("name", name);
    map.put("kind", kind);
    map.put("dtype", dtype);
    map.put("sizes", sizes);
    return map;
  }
}
