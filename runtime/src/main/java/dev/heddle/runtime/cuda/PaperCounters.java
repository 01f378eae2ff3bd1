package dev.heddle.runtime.cuda;

import java.util.Map;
import java.util.TreeMap;

/**
 * What a {@link PaperGpu} would have done since it was opened.
 *
 * @param kernels by the names of our kernels and of the library's functions their launches, with
 *     what these move
 * @param operators by the names of the methods of {@code Kernels} their calls, with what each moves
 *     at least: every operand read once, every result written once, nothing kept between launches
 * @param device launches of our kernels, waits, allocations and copies, as a {@link CudaDevice}
 *     counts them; two waits are not foreseen, where copies to the GPU are a whole staging ring
 *     ahead of it, and where one waits for another device
 */
public record PaperCounters(
    Map<String, KernelTraffic> kernels, Map<String, KernelTraffic> operators, CudaCounters device) {

  /** What was done since {@code earlier}. */
  public PaperCounters since(PaperCounters earlier) {
    return new PaperCounters(
        since(kernels, earlier.kernels),
        since(operators, earlier.operators),
        device.since(earlier.device));
  }

  private static Map<String, KernelTraffic> since(
      Map<String, KernelTraffic> now, Map<String, KernelTraffic> earlier) {
    Map<String, KernelTraffic> difference = new TreeMap<>();
    now.forEach(
        (name, traffic) -> {
          KernelTraffic more = traffic.since(earlier.getOrDefault(name, KernelTraffic.NONE));
          if (more.launches() > 0) {
            difference.put(name, more);
          }
        });
    return difference;
  }

  /** What all kernels and products whose names begin so have moved. */
  public KernelTraffic kernels(String prefix) {
    return sum(kernels, prefix);
  }

  /** What all operators whose names begin so move at least. */
  public KernelTraffic operators(String prefix) {
    return sum(operators, prefix);
  }

  private static KernelTraffic sum(Map<String, KernelTraffic> traffic, String prefix) {
    KernelTraffic sum = KernelTraffic.NONE;
    for (Map.Entry<String, KernelTraffic> entry : traffic.entrySet()) {
      if (entry.getKey().startsWith(prefix)) {
        sum = sum.plus(entry.getValue());
      }
    }
    return sum;
  }

  /** Products of the library. */
  public long products() {
    return kernels(PaperProducts.PREFIX).launches();
  }
}
