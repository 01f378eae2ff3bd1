package dev.heddle.examples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Mlp;
import dev.heddle.ops.Mean;
import dev.heddle.ops.Square;
import dev.heddle.ops.Subtract;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.tensor.TensorParallelLayers;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** The Java example of the README, run as it stands there. */
class EmbeddingExampleTest {
  private static final AtomicReference<double[]> ANSWERS = new AtomicReference<>(new double[0]);

  // [start of README example]
  /** Learns exclusive-or with a network whose hidden features two ranks divide. */
  static void learnExclusiveOr() {
    LocalWorld.run(
        2,
        world -> {
          String name = "cpu:" + world.rank();
          try (CpuDevice device = CpuDevice.open(name, 1, CpuBackend.BEST);
              MemoryScope model = MemoryScope.open()) {
            Layers layers = new TensorParallelLayers(device, DType.F32, 7, world);
            Mlp network = new Mlp(layers, "xor", Mlp.Kind.GELU, 2, 16, 1, 1.0, 1.0);
            AdamW optimizer = new AdamW(network.parameters(), AdamW.Settings.withDecay(0));
            Tensor x = Tensor.constant(NDArray.of(device, Shape.of(4, 2), 0f, 0, 0, 1, 1, 0, 1, 1));
            Tensor y = Tensor.constant(NDArray.of(device, Shape.of(4, 1), 0f, 1, 1, 0));
            for (int i = 0; i < 300; i++) {
              try (MemoryScope step = MemoryScope.open()) {
                Mean.mean(Square.square(Subtract.subtract(network.forward(x), y))).backward();
                optimizer.step(0.02, 1);
                optimizer.clearGradients();
              }
            }
            print(world.rank(), network.forward(x).value().toDoubles());
          }
        });
  }

  // [end of README example]

  private static void print(int rank, double[] answers) {
    if (rank == 0) {
      ANSWERS.set(answers);
    }
  }

  @Test
  void theExampleLearnsWhatItSays() {
    learnExclusiveOr();

    assertThat(Arrays.stream(ANSWERS.get()).mapToLong(Math::round).toArray())
        .containsExactly(0, 1, 1, 0);
  }

  @Test
  void theReadmeShowsThisVeryCode() throws IOException {
    String source =
        Files.readString(Path.of("src/test/java/dev/heddle/examples/EmbeddingExampleTest.java"));
    String example =
        source
            .substring(
                source.indexOf("// [start of README example]\n"),
                source.indexOf("// [end of README example]"))
            .lines()
            .skip(2)
            .map(line -> line.startsWith("  ") ? line.substring(2) : line)
            .reduce("", (text, line) -> text + line + "\n")
            .strip();

    assertThat(Files.readString(Path.of("../README.md"))).contains(example);
  }
}
