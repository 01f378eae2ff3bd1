package dev.heddle.runtime.cuda;

import dev.heddle.bindings.NativeLibrary;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What CUDA has on this machine, and what to do about what is missing. Looking loads the driver,
 * and starts it where it is there.
 *
 * @param found whether a driver was found that is new enough and started
 * @param driver one line: where the driver is and what it speaks, or why there is none
 * @param attempts each place that was tried in vain, with the loader's reason; empty if found
 * @param remedy what to do; empty if there is nothing to do
 * @param gpus what the driver shows, in its order
 */
public record CudaReport(
    boolean found, String driver, List<String> attempts, String remedy, List<Gpu> gpus) {

  public CudaReport {
    attempts = List.copyOf(attempts);
    gpus = List.copyOf(gpus);
  }

  /**
   * A GPU.
   *
   * @param properties what it is
   * @param peers the GPUs whose memory it can reach without the host
   */
  public record Gpu(CudaDeviceProperties properties, List<Integer> peers) {
    public Gpu {
      peers = List.copyOf(peers);
    }

    /** One line: name, memory, compute capability, peers. */
    public String describe() {
      String reach =
          peers.isEmpty() ? "" : ", reaches the memory of " + String.join(", ", peerNames());
      return String.format(
          Locale.ROOT,
          "%s, %.1f GiB, compute capability %s, %d multiprocessors%s%s",
          properties.name(),
          properties.totalBytes() / (double) (1 << 30),
          properties.computeCapabilityText(),
          properties.multiprocessors(),
          properties.hasMemoryPools() ? "" : ", no memory pools",
          reach);
    }

    private List<String> peerNames() {
      return peers.stream().map(peer -> "cuda:" + peer).toList();
    }
  }

  /** Looks. Never throws: whatever goes wrong is in the report. */
  public static CudaReport look() {
    if (!CudaDriver.isAvailable()) {
      return absent();
    }
    String place = NativeLibrary.CUDA.location().orElse("an unknown place");
    String speaks = "";
    try {
      speaks = "CUDA " + CudaDriver.versionText(CudaDriver.version()) + " at " + place;
      int count = CudaDriver.deviceCount();
      List<Gpu> gpus = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        List<Integer> peers = new ArrayList<>();
        for (int j = 0; j < count; j++) {
          if (i != j && CudaDeviceProperties.canAccess(i, j)) {
            peers.add(j);
          }
        }
        gpus.add(new Gpu(CudaDeviceProperties.of(i), peers));
      }
      return new CudaReport(true, speaks, List.of(), "", gpus);
    } catch (CudaException | IllegalStateException failure) {
      String head = speaks.isEmpty() ? "found at " + place : speaks;
      String why = String.valueOf(failure.getMessage());
      return new CudaReport(false, head + ", but it does not start", List.of(), why, List.of());
    }
  }

  private static CudaReport absent() {
    NativeLibrary driver = NativeLibrary.CUDA;
    return new CudaReport(false, "not found", driver.attempts(), driver.fix(), List.of());
  }
}
