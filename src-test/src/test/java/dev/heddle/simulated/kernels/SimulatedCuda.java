package dev.heddle.simulated.kernels;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Two simulated GPUs with a simulated cuBLAS for the tests of a class: the first runs blocks and
 * warps in one order, the second in another, so that what differs between them is the order's doing.
 */
final class SimulatedCuda implements BeforeAllCallback, AfterAllCallback {
  private static final long SEED = 20260727;

  private final SimulatedOptions options;
  private final Launch.Options first;
  private final Launch.Options second;
  private SimulatedGpus gpus;
  private NativeLibrary.Substitution cublas;

  SimulatedCuda(SimulatedOptions options, Launch.Options first, Launch.Options second) {
    this.options = options.withMemoryBytes(1L << 30);
    this.first = first;
    this.second = second;
  }

  /** Execution in that order, watching for races in shared memory and, where asked to, in global. */
  static Launch.Options order(Launch.Order order, boolean globalRaces) {
    return Launch.Options.DEFAULT.withOrder(order, SEED).withRaces(true, globalRaces);
  }

  SimulatedGpus gpus() {
    return gpus;
  }

  @Override
  public void beforeAll(ExtensionContext context) {
    gpus = SimulatedGpus.install(2, options);
    gpus.execute(0, first);
    gpus.execute(1, second);
    cublas = SimulatedCublas.install();
  }

  @Override
  public void afterAll(ExtensionContext context) {
    cublas.close();
    gpus.close();
  }
}
