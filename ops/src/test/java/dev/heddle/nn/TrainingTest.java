package dev.heddle.nn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.CrossEntropy;
import dev.heddle.optim.AdamW;
import dev.heddle.optim.GradientClipping;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Layers, loss, clipping and optimizer together: a model learns two sentences by heart. */
class TrainingTest extends ModelTest {
  private double[] train(DType dtype, BlockStyle style, int size, int steps) {
    Language model = new Language(layers(dtype), size, 2, 2, style);
    AdamW optimizer = new AdamW(model.parameters(), AdamW.Settings.withDecay(0.01));
    NDArray ids = ids();
    NDArray targets = targets();
    long count = CrossEntropy.validCount(targets);
    assertThat(count).isEqualTo(8);
    double[] losses = new double[steps];
    long allocations = 0;
    for (int i = 0; i < steps; i++) {
      model.parameters().forEach(parameter -> parameter.tensor().clearGradient());
      try (MemoryScope step = MemoryScope.open()) {
        Tensor loss = model.loss(ids, targets, BlockContext.NONE, false);
        losses[i] = loss.item() / count;
        loss.backward();
        double norm =
            GradientClipping.norm(GradientClipping.sumOfSquares(model.parameters()), 1.0 / count);
        optimizer.step(0.01, GradientClipping.factor(norm, 1) / count);
      }
      if (i == 2) {
        allocations = device.memory().systemAllocations();
      }
    }
    assertThat(device.memory().systemAllocations())
        .as("a fixed-size loop takes no new memory after its third step")
        .isEqualTo(allocations);
    return losses;
  }

  @Test
  void gptLikeModel_learnsTwoSentencesByHeart() {
    double[] losses = train(DType.F32, BlockStyle.gpt(16), 16, 60);
    assertThat(losses[0]).isBetween(1.5, 2.5);
    assertThat(losses[59]).isLessThan(0.1);
  }

  @Test
  void llamaLikeModel_learnsTwoSentencesByHeart() {
    assertThat(train(DType.F64, BlockStyle.llama(24), 16, 60)[59]).isLessThan(0.1);
  }

  @Test
  void bf16ModelWithF32Masters_learnsTwoSentencesByHeart() {
    assertThat(train(DType.BF16, BlockStyle.gpt(16), 16, 60)[59]).isLessThan(0.2);
  }

  @Test
  void sameSeed_givesTheSameLosses() {
    BlockStyle style = BlockStyle.gpt(8);
    assertThat(train(DType.F32, style, 8, 5)).isEqualTo(train(DType.F32, style, 8, 5));
  }

  @Test
  void everyParameter_getsAGradient() {
    Language model = new Language(layers(DType.F64), 8, 2, 1, BlockStyle.gpt(8));
    model.loss(ids(), targets(), BlockContext.NONE, false).backward();
    List<Parameter> parameters = model.parameters();
    for (Parameter parameter : parameters) {
      assertThat(gradient(parameter).shape()).isEqualTo(parameter.tensor().shape());
      assertThat(GradientClipping.sumOfSquares(List.of(parameter)))
          .as(parameter.name())
          .isPositive();
    }
  }
}
