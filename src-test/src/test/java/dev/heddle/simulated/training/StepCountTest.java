package dev.heddle.simulated.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.run.CountedTraining;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a steady step of the captioning example, small, asks of one GPU: counted by the production
 * code, on a simulated GPU.
 */
class StepCountTest {
  private static final int STEPS = 6;

  /** Kernels of our own. */
  private static final long LAUNCHES = 92;

  /** What goes on from step to step, with two optimizers. */
  private static final long STATE_BYTES = 8 * StepControl.stateLength(2);

  /** 4 pictures of 3 x 32 x 32; at 16 patches and 9 words each an id; at the words a target. */
  private static final long SAMPLE_BYTES = 4 * (4 * 3 * 32 * 32) + 8 * 4 * (16 + 9) + 8 * 4 * 9;

  /** What the host says of a step, with two optimizers. */
  private static final long CONTROL_BYTES = 8 * StepControl.controlLength(2);

  /** 38 parameters: three numbers for their gradients' squares, eight for AdamW. */
  private static final long TABLE_BYTES = 8 * 38 * (3 + 8);

  /** The row numbers of image rows, words and scored positions. */
  private static final long ROW_BYTES = 1600;

  @TempDir private Path folder;

  /** What a step did: by the device, and by the simulated GPU which kernels it was. */
  private record Counted(CudaCounters device, Map<String, Long> kernels) {
    Counted since(Counted earlier) {
      Map<String, Long> ran = new TreeMap<>(kernels);
      earlier.kernels.forEach((name, count) -> ran.merge(name, -count, Long::sum));
      return new Counted(device.since(earlier.device), ran);
    }

    /** Kernels whose name begins so. */
    long launches(String family) {
      return kernels.entrySet().stream()
          .filter(kernel -> kernel.getKey().startsWith(family))
          .mapToLong(Map.Entry::getValue)
          .sum();
    }
  }

  /**
   * The two blocks, of vision and language, are alike. Each launches 36 kernels:
   *
   * <ul>
   *   <li>attention 4: forward; backward for dy y, queries, and keys with values
   *   <li>norms 6: forward, backward and its parameters' parts for each of two
   *   <li>GELU 2: forward, backward
   *   <li>residuals 4: two sums forward, two sums of gradients backward
   *   <li>reductions 4: the parts of two norms' weights and biases
   * </ul>
   *
   * and 4 + 8 products: four linear layers, each with the gradients of input and weight.
   */
  @Test
  void steadyStep_waitsForNothingAndAllocatesNothing() {
    for (Counted step : train(false)) {
      // Both blocks; nothing else attends.
      assertThat(step.launches("heddle_attention")).isEqualTo(2 * 4);
      // Both blocks; the norm at the end of either model.
      assertThat(step.launches("heddle_norm")).isEqualTo(2 * 6 + 2 * 3);
      // Both blocks; the projector's GELU (2); positions added to patches and to words (2); the sum
      // of the losses (6: a difference, a product, and four for the mask); the loss added to the
      // step's numbers.
      assertThat(step.launches("heddle_elementwise")).isEqualTo(2 * (2 + 4) + 11);
      // The losses, forward and backward.
      assertThat(step.launches("heddle_softmax")).isEqualTo(2);
      // All of a component's parameters at a time.
      assertThat(step.launches("heddle_update")).isEqualTo(2);
      // The norm, clipping, and whether there is an update at all.
      assertThat(step.launches("heddle_step")).isEqualTo(1);
      // Two for the squares of all gradients; two norms' weights and biases in both blocks, and in
      // parts; the last norms' in parts; two tables of positions, broadcast forward; the sum of the
      // losses. Biases are summed by cuBLAS, with the product beside them.
      assertThat(step.launches("heddle_reduction")).isEqualTo(2 + 2 * 4 + 4 + 2 + 1);
      // Image rows into the sequence; backward the words' vectors and the scored rows, of what the
      // language block's heads saw and of the residual stream.
      assertThat(step.launches("heddle_scatter")).isEqualTo(4);
      // Gathers 6: words, kept rows, scored rows of both; backward kept rows, image rows. Fills 6:
      // two constants of the mask, four gradients that rows are added or copied into. Copies 5:
      // patches, targets to F32, the gradient of a slice of the positions, the loss to F64, its
      // scale from there.
      assertThat(step.launches("heddle_movement")).isEqualTo(6 + 6 + 5);
      assertThat(step.launches("heddle")).isEqualTo(LAUNCHES);
      // Both blocks; patches 2 (images need no gradient), projector 6, head 3.
      assertThat(step.launches("cublas")).isEqualTo(2 * 12 + 11);

      CudaCounters device = step.device();
      assertThat(device.launches()).isEqualTo(LAUNCHES);
      // The host is a step ahead: it waits for the numbers of the step before this one.
      assertThat(device.hostSynchronizations()).isZero();
      assertThat(device.trailingWaits()).isEqualTo(1);
      assertThat(device.bytesToHost()).isEqualTo(STATE_BYTES);
      assertThat(device.deviceAllocations()).isZero();
      assertThat(device.bytesToDevice())
          .isEqualTo(SAMPLE_BYTES + CONTROL_BYTES + TABLE_BYTES + ROW_BYTES);
      assertThat(device.bytesOnDevice()).isZero();
    }
  }

  @Test
  void steadyStep_recorded_isOneLaunch() {
    for (Counted step : train(true).subList(1, STEPS - 2)) {
      CudaCounters device = step.device();
      assertThat(device.graphLaunches()).isEqualTo(1);
      assertThat(device.launches()).isZero();
      assertThat(device.hostSynchronizations()).isZero();
      assertThat(device.trailingWaits()).isEqualTo(1);
      assertThat(device.deviceAllocations()).isZero();
      assertThat(device.bytesToHost()).isEqualTo(STATE_BYTES);
      // What differs from step to step; all else is in the graph.
      assertThat(device.bytesToDevice()).isEqualTo(SAMPLE_BYTES + CONTROL_BYTES);
      // The GPU runs what it ran before.
      assertThat(step.launches("heddle")).isEqualTo(LAUNCHES);
    }
  }

  /** The steps after the first two, each with what it did. */
  private List<Counted> train(boolean graph) {
    List<String> sets = new ArrayList<>(SimulatedTrainingTest.SMALL);
    sets.addAll(SimulatedTrainingTest.ONE_RANK);
    sets.add("output='" + folder.resolve("run") + "'");
    RunConfig config =
        ConfigLoader.load(
            SimulatedTrainingTest.EXAMPLE, sets.stream().map(ConfigOverride::set).toList());
    List<Counted> after = new ArrayList<>();
    try (SimulatedGpus machine = SimulatedGpus.install(1, SimulatedOptions.lazily());
        NativeLibrary.Substitution cublas = SimulatedCublas.install()) {
      CountedTraining.train(
          config,
          STEPS,
          graph,
          counters -> after.add(new Counted(counters, machine.counters().launches())));
    }
    List<Counted> steps = new ArrayList<>();
    // Before the last report no step is begun any more.
    for (int i = 1; i < after.size() - 1; i++) {
      steps.add(after.get(i).since(after.get(i - 1)));
    }
    assertThat(steps).hasSize(STEPS - 2);
    return steps;
  }
}
