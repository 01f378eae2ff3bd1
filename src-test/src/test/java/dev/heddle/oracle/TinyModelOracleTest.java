package dev.heddle.oracle;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.ndarray.NDManager;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** Training as a whole: a captioning model here and in libtorch, from the same weights. */
class TinyModelOracleTest {
  private static final int STEPS = 10;
  private static final double LEARNING_RATE = 1e-3;
  private static final AdamW.Settings SETTINGS = new AdamW.Settings(0.9, 0.95, 1e-8, 0.1);

  /** One of each kind, from both components: first and last layers, matrices, norms, biases. */
  private static final List<String> NAMED =
      List.of(
          "vision.patch.weight",
          "vision.position.weight",
          "vision.block0.attention.qkv.weight",
          "vision.block1.mlp.norm.weight",
          "projector.up.weight",
          "language.word.weight",
          "language.block0.attention.output.weight",
          "language.block1.attention.qkv.bias",
          "language.block1.mlp.down.bias",
          "language.head.weight");

  @Test
  void training_f64_tenGradientsAndTenLossesEqualLibtorchs() {
    train(CpuBackend.REFERENCE, DType.F64, 1e-9);
  }

  @Test
  void training_f32OnVectorKernels_tenGradientsAndTenLossesEqualLibtorchs() {
    train(CpuBackend.VECTOR, DType.F32, 1e-4);
  }

  @Test
  void training_f32OnBestKernels_tenGradientsAndTenLossesEqualLibtorchs() {
    train(CpuBackend.BEST, DType.F32, 1e-4);
  }

  private static void train(CpuBackend backend, DType dtype, double tolerance) {
    long seed = Oracle.seed();
    Random random = new Random(seed);
    String where = "replay with -Dheddle.seed=" + seed;
    TinyCaptioner.Batch batch = TinyCaptioner.Batch.draw(random);
    try (CpuDevice device = CpuDevice.open("tiny", 1, backend);
        MemoryScope model = MemoryScope.open();
        NDManager manager = LibTorch.open()) {
      TinyCaptioner ours = new TinyCaptioner(new LocalLayers(device, dtype, seed));
      ours.shake(random);
      AdamW optimizer = new AdamW(ours.parameters(), SETTINGS);
      TorchCaptioner theirs = new TorchCaptioner(manager, ours.parameters());
      Map<String, double[]> gradients = new LinkedHashMap<>();
      for (int step = 1; step <= STEPS; step++) {
        double loss = step(ours, batch, device, dtype);
        double expected =
            theirs.step(
                batch,
                LEARNING_RATE,
                SETTINGS.beta1(),
                SETTINGS.beta2(),
                SETTINGS.epsilon(),
                SETTINGS.weightDecay(),
                gradients);
        assertThat(loss)
            .as("loss of step %d (%s)", step, where)
            .isCloseTo(expected, Offset.offset(tolerance * expected));
        if (step == 1) {
          assertThat(gradients.keySet()).containsAll(NAMED);
          for (Parameter parameter : ours.parameters()) {
            checkGradient(parameter, gradients, batch.words(), tolerance, where);
          }
        }
        optimizer.step(LEARNING_RATE, 1.0 / batch.words());
        ours.parameters().forEach(parameter -> parameter.tensor().clearGradient());
      }
      assertThat(step(ours, batch, device, dtype)).as("it learns").isLessThan(0.9 * Math.log(29));
    }
  }

  private static double step(
      TinyCaptioner model, TinyCaptioner.Batch batch, CpuDevice device, DType dtype) {
    try (MemoryScope scope = MemoryScope.open()) {
      Tensor loss =
          model.lossSum(
              batch.patches(device, dtype),
              NDArray.of(device, Shape.of(batch.ids().length), batch.ids()),
              NDArray.of(device, Shape.of(batch.rows().length), batch.rows()),
              NDArray.of(device, Shape.of(batch.targets().length), batch.targets()));
      loss.backward();
      return loss.item() / batch.words();
    }
  }

  private static void checkGradient(
      Parameter parameter,
      Map<String, double[]> expected,
      int words,
      double tolerance,
      String where) {
    NDArray gradient = parameter.tensor().gradient();
    assertThat(gradient).as("gradient of %s", parameter.name()).isNotNull();
    double[] mean = gradient.toDoubles();
    for (int i = 0; i < mean.length; i++) {
      mean[i] /= words;
    }
    new Tolerance(tolerance, tolerance)
        .check(
            "gradient of " + parameter.name() + " (" + where + ")",
            mean,
            expected.get(parameter.name()));
  }
}
